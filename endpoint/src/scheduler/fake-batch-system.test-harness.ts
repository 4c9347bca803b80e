/**
 * A batch system for tests of adapters whose scheduler cannot be had: its programs are on a PATH directory and speak one
 * dialect each, what they are asked reaches this process, and what is submitted really runs, each job in a session of its
 * own. Tests force states, words, ends and silence.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findMarked } from "./local/marked-processes.ts";

export interface FakeCall {
	readonly program: string;
	readonly words: readonly string[];
	readonly input: string;
	/** Of the caller's environment, those that change an answer. */
	readonly environment: Readonly<Record<string, string>>;
}

export interface FakeAnswer {
	readonly code?: number;
	readonly stdout?: string;
	readonly stderr?: string;
}

/** How a fake program behaves; by its name on the PATH. */
export type FakeProgram = (call: FakeCall, system: FakeBatchSystem) => FakeAnswer;
/** A test's word before the program's: what it returns is the answer; "silence" is none at all. */
export type Interference = (answer: () => FakeAnswer, call: FakeCall) => FakeAnswer | "silence";

export interface FakeJobEnd {
	readonly code?: number;
	readonly signal?: number;
	/** What ended it, if not itself. */
	readonly by?: "cancel" | "walltime" | "memory" | "node" | "preemption";
}

export interface FakeJob {
	readonly number: number;
	readonly name: string;
	/** What the scheduler keeps of the submission: attributes by name. */
	readonly attributes: ReadonlyMap<string, string>;
	state: "pending" | "held" | "running" | "suspended" | "ending" | "ended";
	/** Shown in place of the state's own word. */
	word: string | undefined;
	reason: string;
	expectedStartMs?: number;
	starts: number;
	end: FakeJobEnd;
	/** The scheduler does not know it any more. */
	forgotten: boolean;
	/** Left the queue; only its history is known. */
	archived: boolean;
}

export interface FakeSubmission {
	readonly name: string;
	readonly attributes: ReadonlyMap<string, string>;
	readonly script: string;
	readonly logPath: string | undefined;
	/** Of the job, each time it starts; `directory` takes files for it. */
	readonly environment?: (job: FakeJob, directory: string) => Readonly<Record<string, string>>;
	readonly held?: boolean;
}

const mark = "ERRAND_FAKE_JOB";
const relayedVariables = ["FLUX_F58_FORCE_ASCII", "LC_ALL", "TZ"];

/** Hands its words and its input to this process, and prints what it says. */
const client = (port: number): string => `#!/bin/bash
input=$(cat; printf x)
exec 3<>/dev/tcp/127.0.0.1/${port} || exit 97
printf '%s\\0' "\${0##*/}" ${relayedVariables.map((name) => `"\${${name}-}"`).join(" ")} "$#" "$@" "\${input%x}" >&3
IFS= read -r -d '' code <&3 || exit 98
IFS= read -r -d '' out <&3
IFS= read -r -d '' err <&3
printf %s "$out"
printf %s "$err" >&2
exit "$code"
`;

export class FakeBatchSystem {
	/** To be put before the PATH. */
	readonly bin: string;
	readonly calls: FakeCall[] = [];
	readonly jobs: FakeJob[] = [];
	/** New jobs start at once. */
	starts = true;
	/** Between SIGTERM and SIGKILL of a job that is cancelled. */
	killDelayMs = 60_000;
	/** What every program answers while nobody serves; undefined: they work. */
	down: FakeAnswer | undefined;
	readonly #programs: Readonly<Record<string, FakeProgram>>;
	readonly #directory: string;
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();
	readonly #interferences = new Map<string, Interference[]>();
	readonly #processes = new Map<number, ChildProcess>();
	readonly #submissions = new Map<number, FakeSubmission>();
	readonly #timers = new Set<NodeJS.Timeout>();
	#path: string | undefined;
	#number = 100;

	private constructor(programs: Readonly<Record<string, FakeProgram>>, directory: string, server: Server) {
		this.#programs = programs;
		this.#directory = directory;
		this.#server = server;
		this.bin = join(directory, "bin");
	}

	/** Its programs are found first on the PATH of this process until it is stopped. */
	static async start(programs: Readonly<Record<string, FakeProgram>>): Promise<FakeBatchSystem> {
		const server = createServer();
		const system = new FakeBatchSystem(programs, mkdtempSync(join(tmpdir(), "errand-fake-")), server);
		server.on("connection", (socket) => system.#serve(socket));
		await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
		mkdirSync(system.bin);
		for (const name of Object.keys(programs)) {
			const path = join(system.bin, name);
			writeFileSync(path, client((server.address() as { port: number }).port));
			chmodSync(path, 0o755);
		}
		system.#path = process.env.PATH;
		process.env.PATH = `${system.bin}:${system.#path}`;
		return system;
	}

	async stop(): Promise<void> {
		process.env.PATH = this.#path;
		this.reset();
		for (const socket of this.#sockets) socket.destroy();
		await new Promise<void>((resolve) => this.#server.close(() => resolve()));
		await this.#killMarked((value) => value.startsWith(`${this.#directory}#`));
		rmSync(this.#directory, { recursive: true, force: true });
	}

	/** Forgets every job, call and interference, and ends what runs. */
	reset(): void {
		for (const timer of this.#timers) clearTimeout(timer);
		this.#timers.clear();
		for (const job of this.jobs) this.kill(job);
		this.jobs.length = 0;
		this.calls.length = 0;
		this.#interferences.clear();
		this.starts = true;
		this.killDelayMs = 60_000;
		this.down = undefined;
	}

	/** Answers the next call of this program in its place; several are used one after another. */
	interfere(program: string, interference: Interference): void {
		this.#interferences.set(program, [...(this.#interferences.get(program) ?? []), interference]);
	}

	callsOf(program: string): FakeCall[] {
		return this.calls.filter((call) => call.program === program);
	}

	submit(submission: FakeSubmission): FakeJob {
		const job: FakeJob = {
			number: ++this.#number,
			name: submission.name,
			attributes: submission.attributes,
			state: submission.held ? "held" : "pending",
			reason: "",
			starts: 0,
			end: {},
			forgotten: false,
			archived: false,
			word: undefined,
		};
		this.jobs.push(job);
		this.#submissions.set(job.number, submission);
		if (this.starts && job.state === "pending") this.run(job);
		return job;
	}

	/** The one that the next submission would get. */
	reuseNumber(number: number): void {
		this.#number = number - 1;
	}

	job(number: number): FakeJob | undefined {
		return this.jobs.findLast((job) => job.number === number && !job.forgotten);
	}

	run(job: FakeJob): void {
		const { script, logPath, environment } = this.#submissions.get(job.number) as FakeSubmission;
		job.state = "running";
		job.starts++;
		const path = join(this.#directory, `${job.number}.sh`);
		writeFileSync(path, script, { mode: 0o700 });
		if (logPath !== undefined) mkdirSync(dirname(logPath), { recursive: true });
		const output = openSync(logPath ?? "/dev/null", "a");
		const child = spawn("/bin/bash", [path], {
			cwd: this.#directory,
			env: { ...process.env, ...environment?.(job, this.#directory), [mark]: `${this.#directory}#${job.number}` },
			stdio: ["ignore", output, output],
			detached: true,
		});
		closeSync(output);
		this.#processes.set(job.number, child);
		child.once("exit", (code, signal) => {
			this.#processes.delete(job.number);
			const killed = signal === null ? undefined : signal === "SIGKILL" ? 9 : 15;
			if (job.state === "pending") return; // it was taken back into the queue
			job.end = { ...(killed === undefined ? { code: code ?? 0 } : { signal: killed }), ...job.end };
			// A real one has a control group to find them by.
			void this.#killMarked((value) => value === `${this.#directory}#${job.number}`).then(() => {
				job.state = "ended";
			});
		});
	}

	/** Its process has not ended. */
	runs(job: FakeJob): boolean {
		return this.#processes.has(job.number);
	}

	/** Back into the queue, as when a node fails. */
	requeue(job: FakeJob): void {
		job.state = "pending";
		this.#signal(job, "SIGKILL");
	}

	/** SIGTERM, then SIGKILL; one that waits has ended at once. */
	cancel(job: FakeJob, by: FakeJobEnd["by"] = "cancel"): void {
		if (job.state === "ended" || job.state === "ending") return;
		job.end = { by };
		if (job.state === "pending" || job.state === "held") {
			job.state = "ended";
			return;
		}
		job.state = "ending";
		this.#signal(job, "SIGTERM");
		const timer = setTimeout(() => this.#signal(job, "SIGKILL"), this.killDelayMs);
		this.#timers.add(timer);
		this.#processes.get(job.number)?.once("exit", () => {
			clearTimeout(timer);
			this.#timers.delete(timer);
		});
	}

	kill(job: FakeJob): void {
		this.#signal(job, "SIGKILL");
	}

	#signal(job: FakeJob, name: NodeJS.Signals): void {
		const pid = this.#processes.get(job.number)?.pid;
		if (pid === undefined) return;
		try {
			process.kill(-pid, name);
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
		}
	}

	async #killMarked(ours: (value: string) => boolean): Promise<void> {
		for (const { pid, values } of await findMarked([mark])) {
			if (!ours(values[0] as string)) continue;
			try {
				process.kill(pid, "SIGKILL");
			} catch (error) {
				if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
			}
		}
	}

	#serve(socket: Socket): void {
		this.#sockets.add(socket);
		let text = "";
		socket.setEncoding("utf8");
		socket.on("error", () => undefined); // the program was ended while it waited
		socket.on("close", () => this.#sockets.delete(socket));
		socket.on("data", (chunk: string) => {
			text += chunk;
			const fields = text.split("\0");
			const head = 1 + relayedVariables.length;
			const count = Number(fields[head] ?? Number.NaN);
			// One more field than there are ends of fields.
			if (Number.isNaN(count) || fields.length < head + 1 + count + 1 + 1) return;
			const answer = this.#answer({
				program: fields[0] as string,
				environment: Object.fromEntries(relayedVariables.map((name, at) => [name, fields[1 + at] as string])),
				words: fields.slice(head + 1, head + 1 + count),
				input: fields[head + 1 + count] as string,
			});
			if (answer !== "silence") socket.end([answer.code ?? 0, answer.stdout ?? "", answer.stderr ?? "", ""].join("\0"));
		});
	}

	#answer(call: FakeCall): FakeAnswer | "silence" {
		this.calls.push(call);
		const plain = (): FakeAnswer => this.down ?? (this.#programs[call.program] as FakeProgram)(call, this);
		const interference = this.#interferences.get(call.program)?.shift();
		return interference === undefined ? plain() : interference(plain, call);
	}
}

/** The words of a line as a shell would part them, without expansions. */
export function wordsIn(line: string): string[] {
	return [...line.matchAll(/(?:"([^"]*)"|'([^']*)'|\\(.)|[^\s"'\\])+/g)].map(([word]) =>
		word.replaceAll(/"([^"]*)"|'([^']*)'|\\(.)/g, (_, double, single, escaped) => double ?? single ?? escaped),
	);
}

/** The directives at the head of a script: what follows the prefix, up to the first line that is no comment. */
export function directivesIn(script: string, prefix: string): string[] {
	const lines = script.split("\n");
	const end = lines.findIndex((line) => line.trim() !== "" && !line.startsWith("#"));
	return lines
		.slice(0, end === -1 ? lines.length : end)
		.flatMap((line) => (line.startsWith(prefix) ? [line.slice(prefix.length).trim()] : []));
}
