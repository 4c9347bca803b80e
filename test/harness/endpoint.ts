import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Client } from "@errand/sdk";
import type { TestCloud } from "./cloud.ts";
import { LoggedProcess } from "./process.ts";

const endpointMain = fileURLToPath(new URL("../../endpoint/src/main.ts", import.meta.url));
const run = promisify(execFile);

/** An endpoint daemon as a process of its own, registered with a cloud of the test. */
export class TestEndpoint {
	readonly id: string;
	readonly directory: string;
	readonly #environment: NodeJS.ProcessEnv;
	/** Whose process the daemon is, if not the tests'. The directory must be theirs by the time it starts. */
	account: { uid: number; gid: number } | undefined;
	#process: LoggedProcess | undefined;

	private constructor(id: string, directory: string, environment: NodeJS.ProcessEnv) {
		this.id = id;
		this.directory = directory;
		this.#environment = environment;
	}

	/** Registers, writes the directory as `errand endpoint configure` does, and starts the daemon. */
	static async start(
		cloud: Pick<TestCloud, "home" | "url">,
		client: Client,
		options: { name?: string; config?: string; environment?: NodeJS.ProcessEnv } = {},
	): Promise<TestEndpoint> {
		const endpoint = await TestEndpoint.configure(cloud, client, options);
		await endpoint.start();
		return endpoint;
	}

	static async configure(
		cloud: Pick<TestCloud, "home" | "url">,
		client: Client,
		{
			name = "local",
			config,
			environment = {},
		}: { name?: string; config?: string; environment?: NodeJS.ProcessEnv } = {},
	): Promise<TestEndpoint> {
		const { endpoint_id } = await client.registerEndpoint({ endpoint_name: name, metadata: { errand_protocol: 1 } });
		const key = await client.makeEndpointKey(endpoint_id);
		return await TestEndpoint.of(cloud, { endpoint_id, ...key }, { name, environment, ...(config && { config }) });
	}

	/** The directory of an endpoint that is registered already, or of a user endpoint that a manager is asked for. */
	static async of(
		cloud: Pick<TestCloud, "home" | "url">,
		credentials: { endpoint_id: string; client_id: string; client_secret: string; token_endpoint: string },
		{ name, config, environment = {} }: { name: string; config?: string; environment?: NodeJS.ProcessEnv },
	): Promise<TestEndpoint> {
		const directory = join(cloud.home, "endpoints", name);
		mkdirSync(directory, { recursive: true, mode: 0o700 });
		const env = { PATH: process.env.PATH, HOME: process.env.HOME, ERRAND_HOME: cloud.home, ...environment };
		await run(process.execPath, [endpointMain, "init", directory, "--name", name], { env });
		writeFileSync(join(directory, "credentials.json"), JSON.stringify({ cloud_url: cloud.url, ...credentials }), {
			mode: 0o600,
		});
		if (config !== undefined) writeFileSync(join(directory, "config.yaml"), config);
		return new TestEndpoint(credentials.endpoint_id, directory, env);
	}

	get process(): LoggedProcess {
		if (this.#process === undefined) throw new Error("the endpoint has not been started");
		return this.#process;
	}

	/** Again after a kill or stop, with the same directory. */
	async start(): Promise<void> {
		this.#process = this.spawn();
		await this.#process.line("uplink: connected to the broker");
	}

	/** One more daemon, of this directory or of a copy; whoever calls ends it. */
	spawn(directory = this.directory): LoggedProcess {
		const words = [endpointMain, "run", directory];
		return new LoggedProcess("endpoint", process.execPath, words, this.#environment, undefined, this.account);
	}

	/** Only the daemon: its managers go on. */
	kill(): Promise<void> {
		return this.process.kill();
	}

	/** The managers' processes that belong to this endpoint, found by its directory in their environment. */
	managerPids(): number[] {
		return pidsWith(
			(environment) => environment.includes("ERRAND_MANAGER_OPTIONS=") && environment.includes(this.directory),
		);
	}

	/** Every process of this endpoint's tasks and workers, wherever it sits in the tree. */
	processesLeft(): number[] {
		return pidsWith((environment) => environment.includes(this.directory)).filter((pid) => pid !== process.pid);
	}

	async stop(): Promise<void> {
		const code = await this.process.stop();
		if (code !== 0) throw new Error(`the endpoint ended with ${code}:\n${this.process.output.slice(-3000)}`);
	}
}

function pidsWith(matches: (environment: string) => boolean): number[] {
	return readdirSync("/proc")
		.filter((entry) => /^\d+$/.test(entry))
		.map(Number)
		.filter((pid) => {
			try {
				return matches(readFileSync(`/proc/${pid}/environ`, "latin1"));
			} catch {
				return false; // ended meanwhile, or another user's
			}
		});
}
