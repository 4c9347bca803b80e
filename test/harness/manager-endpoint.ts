/** A manager endpoint as a process of its own, whose program other accounts can read. */
import { execFile } from "node:child_process";
import {
	accessSync,
	chmodSync,
	chownSync,
	constants,
	copyFileSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { type Client, Executor } from "@errand/sdk";
import { writeBundles } from "../../deploy/package/bundles.ts";
import type { TestCloud } from "./cloud.ts";
import type { TestAccount } from "./local-account.ts";
import { LoggedProcess } from "./process.ts";

const run = promisify(execFile);

/** One line of the audit log. */
export interface AuditLine {
	readonly time: string;
	readonly event: string;
	readonly username: string;
	readonly identity_id: string;
	readonly user_endpoint_id: string;
	readonly account?: string;
	readonly uid?: number;
	readonly pid?: number;
	readonly task_id?: string;
	readonly function_id?: string;
	readonly state?: string;
	readonly reason?: string;
	readonly status?: number | null;
	readonly signal?: string | null;
	readonly config_digest?: string;
}

/** A copy of the endpoint's program, for a checkout may lie where only its owner can go. */
export class ReadableProgram {
	readonly #directory: string;
	readonly main: string;
	readonly node: string;

	private constructor(directory: string) {
		this.#directory = directory;
		this.main = join(directory, "endpoint.mjs");
		this.node = isOpen(process.execPath) ? process.execPath : join(directory, "node");
	}

	static async make(): Promise<ReadableProgram> {
		const directory = mkdtempSync(join(tmpdir(), "errand-program-"));
		chmodSync(directory, 0o755);
		await writeBundles(directory, ["endpoint.mjs", "manager.mjs", "worker.mjs"]);
		const made = new ReadableProgram(directory);
		if (made.node !== process.execPath) {
			copyFileSync(process.execPath, made.node);
			chmodSync(made.node, 0o755);
		}
		return made;
	}

	remove(): void {
		rmSync(this.#directory, { recursive: true, force: true });
	}
}

/** Everybody can go there. */
function isOpen(path: string): boolean {
	accessSync(path, constants.X_OK);
	for (let at = path; ; at = dirname(at)) {
		if ((statSync(at).mode & 0o001) === 0) return false;
		if (at === dirname(at)) return true;
	}
}

export class ManagerEndpoint {
	readonly id: string;
	readonly directory: string;
	readonly #program: ReadableProgram;
	readonly #cloud: TestCloud;
	/** Whose process it is, if not the tests'. */
	readonly #as: TestAccount | undefined;
	#process: LoggedProcess | undefined;

	private constructor(
		id: string,
		directory: string,
		program: ReadableProgram,
		cloud: TestCloud,
		as: TestAccount | undefined,
	) {
		this.#as = as;
		this.id = id;
		this.directory = directory;
		this.#program = program;
		this.#cloud = cloud;
	}

	/** Registered, with these files in its directory; not started. */
	static async configure(
		cloud: TestCloud,
		client: Client,
		program: ReadableProgram,
		{ name = "lab", files, as }: { name?: string; files: Readonly<Record<string, string>>; as?: TestAccount },
	): Promise<ManagerEndpoint> {
		const metadata = { errand_protocol: 1, errand_manager: true } as const;
		const { endpoint_id } = await client.registerEndpoint({ endpoint_name: name, metadata });
		const key = await client.makeEndpointKey(endpoint_id);
		const directory = join(as?.home ?? cloud.home, "endpoints", name);
		mkdirSync(directory, { recursive: true, mode: 0o700 });
		if (as !== undefined) for (const path of [dirname(directory), directory]) chownSync(path, as.uid, as.gid);
		const endpoint = new ManagerEndpoint(endpoint_id, directory, program, cloud, as);
		endpoint.write("credentials.json", JSON.stringify({ cloud_url: cloud.url, endpoint_id, ...key }));
		for (const [file, text] of Object.entries(files)) endpoint.write(file, text);
		return endpoint;
	}

	write(file: string, text: string): void {
		const path = join(this.directory, file);
		writeFileSync(path, text, { mode: 0o600 });
		if (this.#as !== undefined) chownSync(path, this.#as.uid, this.#as.gid);
	}

	get process(): LoggedProcess {
		if (this.#process === undefined) throw new Error("the manager has not been started");
		return this.#process;
	}

	/** `environment`: what must not reach anybody else. */
	async start(environment: NodeJS.ProcessEnv = {}): Promise<void> {
		const words = [this.#program.main, "run", this.directory];
		const home = this.#as?.home ?? process.env.HOME;
		const own = { PATH: process.env.PATH, HOME: home, TMPDIR: process.env.TMPDIR, ...environment };
		const { uid, gid } = this.#as ?? {};
		const account = uid === undefined || gid === undefined ? undefined : { uid, gid };
		this.#process = new LoggedProcess("manager", this.#program.node, words, own, home, account);
		await this.#process.line("uplink: connected to the broker");
	}

	async stop(): Promise<void> {
		const code = await this.process.stop();
		if (code !== 0) throw new Error(`the manager ended with ${code}:\n${this.process.output.slice(-4000)}`);
	}

	/** What `errand-endpoint doctor` finds, beside the manager that runs. */
	async doctor(): Promise<{ name: string; state: string; says: string }[]> {
		const words = [this.#program.main, "doctor", this.directory, "--json", "--online"];
		// It ends with 1 when there is a fault.
		const { stdout } = await run(this.#program.node, words).catch((error: { stdout: string }) => error);
		return (JSON.parse(stdout) as { checks: { name: string; state: string; says: string }[] }).checks;
	}

	get audit(): AuditLine[] {
		return readFileSync(join(this.directory, "audit.log"), "utf8")
			.split("\n")
			.filter((line) => line !== "")
			.map((line) => JSON.parse(line) as AuditLine);
	}

	/** An executor of somebody who asks for a configuration. */
	executor(token: string, userEndpointConfig: Readonly<Record<string, unknown>> = {}): Executor {
		return new Executor({ endpoint: this.id, cloudUrl: this.#cloud.url, token, userEndpointConfig });
	}
}
