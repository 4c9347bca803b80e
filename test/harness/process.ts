import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** Those that a failed test has left; asked to end with the test program, which gives them no more time than that. */
const alive = new Set<ChildProcess>();
process.on("exit", () => {
	for (const child of alive) child.kill("SIGTERM");
});

/** A child process whose JSON log a test can wait on. It is ended with the test, at the latest. */
export class LoggedProcess {
	readonly child: ChildProcess;
	readonly #lines: string[] = [];
	readonly #waiters = new Set<(line: string) => void>();
	readonly #ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
	readonly name: string;

	constructor(
		name: string,
		command: string,
		args: readonly string[],
		environment: NodeJS.ProcessEnv,
		cwd?: string,
		account?: { uid: number; gid: number },
	) {
		this.name = name;
		this.child = spawn(command, args, {
			env: environment,
			stdio: ["ignore", "pipe", "pipe"],
			...(cwd && { cwd }),
			...account,
		});
		for (const stream of [this.child.stdout, this.child.stderr]) {
			if (stream === null) continue;
			createInterface({ input: stream }).on("line", (line) => {
				this.#lines.push(line);
				for (const waiter of this.#waiters) waiter(line);
			});
		}
		const { child } = this;
		alive.add(child);
		child.once("exit", () => alive.delete(child));
		this.#ended = once(this.child, "exit").then(([code, signal]) => ({ code, signal }));
		this.#ended.catch(() => undefined);
	}

	get pid(): number {
		if (this.child.pid === undefined) throw new Error(`${this.name} did not start`);
		return this.child.pid;
	}

	/** Everything it has printed, for a failing test's message. */
	get output(): string {
		return this.#lines.join("\n");
	}

	get ended(): boolean {
		return this.child.exitCode !== null || this.child.signalCode !== null;
	}

	/** The first line, past or to come, that holds `text`. Rejects with the whole output when the process ends first. */
	async line(text: string, afterLine = 0): Promise<string> {
		const past = this.#lines.slice(afterLine).find((line) => line.includes(text));
		if (past !== undefined) return past;
		const { promise, resolve } = Promise.withResolvers<string>();
		const waiter = (line: string) => line.includes(text) && resolve(line);
		this.#waiters.add(waiter);
		try {
			return await Promise.race([
				promise,
				this.#ended.then(({ code, signal }) => {
					throw new Error(
						`${this.name} ended (${code ?? signal}) before it said "${text}":\n${this.output.slice(-4000)}`,
					);
				}),
			]);
		} finally {
			this.#waiters.delete(waiter);
		}
	}

	get lineCount(): number {
		return this.#lines.length;
	}

	/** SIGKILL, and wait until it is gone. */
	async kill(): Promise<void> {
		this.child.kill("SIGKILL");
		await this.#ended;
	}

	/** SIGTERM, and the exit code it ends with. */
	async stop(): Promise<number | null> {
		if (!this.ended) this.child.kill("SIGTERM");
		return (await this.#ended).code;
	}

	async exit(): Promise<number | null> {
		return (await this.#ended).code;
	}
}
