import { execFile } from "node:child_process";
import { appendFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestCloud } from "./cloud.ts";

const cli = fileURLToPath(new URL("../../sdk/cli/main.ts", import.meta.url));
const bin = fileURLToPath(new URL("../../node_modules/.bin", import.meta.url));

export interface Finished {
	code: number;
	stdout: string;
	stderr: string;
}

/** The command line as a person of this cloud uses it: logged in, with a home of its own. */
export class CommandLine {
	readonly environment: NodeJS.ProcessEnv;
	readonly #endpoints: string[] = [];

	private constructor(environment: NodeJS.ProcessEnv) {
		this.environment = environment;
	}

	/** `url`: how this person reaches the cloud, where that is not its own address. */
	static async open(
		cloud: TestCloud,
		username: string,
		{ url = cloud.url, environment = {} }: { url?: string; environment?: NodeJS.ProcessEnv } = {},
	): Promise<CommandLine> {
		const commands = new CommandLine({
			PATH: `${bin}:${dirname(process.execPath)}:${process.env.PATH}`,
			HOME: cloud.home,
			ERRAND_HOME: cloud.home,
			NO_COLOR: "1",
			...environment,
		});
		await cloud.createAccount(username);
		await commands.expect("login", "--cloud", url, "--approve-as", username);
		return commands;
	}

	/** The same person with other variables; undefined takes one away. */
	with(environment: NodeJS.ProcessEnv): CommandLine {
		return new CommandLine({ ...this.environment, ...environment });
	}

	run(...args: string[]): Promise<Finished> {
		return new Promise((resolve) => {
			execFile(process.execPath, [cli, ...args], { env: this.environment }, (error, stdout, stderr) => {
				resolve({ code: typeof error?.code === "number" ? error.code : error ? -1 : 0, stdout, stderr });
			});
		});
	}

	/** As run, and it must succeed. */
	async expect(...args: string[]): Promise<string> {
		const { code, stdout, stderr } = await this.run(...args);
		if (code !== 0) throw new Error(`errand ${args.join(" ")} ended with ${code}:\n${stdout}\n${stderr}`);
		return stdout;
	}

	async json<T>(...args: string[]): Promise<T> {
		return JSON.parse(await this.expect(...args, "--json")) as T;
	}

	/** `config`: lines that are added to its configuration. */
	async startEndpoint(name: string, config = ""): Promise<void> {
		await this.expect("endpoint", "configure", name);
		appendFileSync(join(this.home, "endpoints", name, "config.yaml"), config);
		await this.expect("endpoint", "start", name, "--detach");
		this.#endpoints.push(name);
	}

	get home(): string {
		return join(this.environment.ERRAND_HOME ?? "");
	}

	async close(): Promise<void> {
		for (const name of this.#endpoints) await this.run("endpoint", "stop", name);
	}
}
