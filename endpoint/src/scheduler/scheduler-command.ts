/**
 * Runs the scheduler's own programs: words, never shell text; an environment in which they speak English and obey no
 * format variables of the user; one at a time, each with a time limit.
 */
import { spawn } from "node:child_process";
import type { Logger } from "../service/logger.ts";
import { SchedulerSilent } from "./scheduler.ts";

/** More than any answer about a thousand jobs; what comes beyond it is dropped. */
const outputLimitBytes = 16 * 1024 * 1024;
/** Programs that do not heed SIGTERM get SIGKILL after this. */
const killAfterMs = 2_000;
/** Variables by which a user's habits, or a job that the daemon itself runs in, would change the answers. */
const foreignVariables =
	/^(SQUEUE_|SACCT_|SBATCH_|SINFO_|SCANCEL_|SLURM_(?!CONF$)|PBS_(?!SERVER$|CONF_FILE$|EXEC$)|LSB_(?!CONFDIR$)|CONDOR_Q_|QSTAT_)/;

export interface Answer {
	/** Undefined when a signal or the time limit ended it. */
	readonly code: number | undefined;
	readonly stdout: string;
	readonly stderr: string;
	readonly timedOut: boolean;
}

export interface SchedulerCommandOptions {
	readonly timeoutMs: number;
	readonly log: Logger;
	/** Variables that this scheduler's programs must have. */
	readonly environment?: Readonly<Record<string, string>>;
}

export class SchedulerCommand {
	readonly #options: SchedulerCommandOptions;
	#queue: Promise<unknown> = Promise.resolve();

	constructor(options: SchedulerCommandOptions) {
		this.#options = options;
	}

	/**
	 * Judges nothing: schedulers say valid things and exit with 1. Throws {@link SchedulerSilent} when there is no such program.
	 * A program whose environment becomes the job's is told so: tasks keep the user's own language and time zone.
	 */
	run(argv: readonly [string, ...string[]], input = "", environment: "ours" | "the job's" = "ours"): Promise<Answer> {
		const answer = this.#queue.then(() => this.#run(argv, input, environment));
		this.#queue = answer.catch(() => undefined);
		return answer;
	}

	/** As {@link run}, and throws {@link SchedulerSilent} when the time limit ended it. */
	async ask(...command: Parameters<SchedulerCommand["run"]>): Promise<Answer> {
		const answer = await this.run(...command);
		if (answer.timedOut)
			throw new SchedulerSilent(`${command[0][0]} did not answer within ${this.#options.timeoutMs} ms`);
		return answer;
	}

	#run(argv: readonly [string, ...string[]], input: string, whose: "ours" | "the job's"): Promise<Answer> {
		const { timeoutMs, log, environment } = this.#options;
		const [program, ...words] = argv;
		const startedMs = performance.now();
		return new Promise((resolve, reject) => {
			const child = spawn(program, words, {
				env: { ...cleanEnvironment(process.env), ...(whose === "ours" && { LC_ALL: "C", TZ: "UTC" }), ...environment },
				stdio: ["pipe", "pipe", "pipe"],
			});
			const out = collect(child.stdout);
			const err = collect(child.stderr);
			let timedOut = false;
			let force: NodeJS.Timeout | undefined;
			const limit = setTimeout(() => {
				timedOut = true;
				child.kill("SIGTERM");
				force = setTimeout(() => child.kill("SIGKILL"), killAfterMs);
			}, timeoutMs);
			child.stdin.on("error", () => undefined); // it ended before it had read everything: its answer says why
			child.stdin.end(input);
			child.once("error", (cause) => {
				clearTimeout(limit);
				reject(new SchedulerSilent(`${program} cannot be run: ${cause.message}`, { cause }));
			});
			child.once("close", (code) => {
				clearTimeout(limit);
				clearTimeout(force);
				const tookMs = Math.round(performance.now() - startedMs);
				log.debug({ program, words, code, tookMs, timedOut }, "scheduler: a command has ended");
				resolve({ code: timedOut ? undefined : (code ?? undefined), stdout: out(), stderr: err(), timedOut });
			});
		});
	}
}

function cleanEnvironment(from: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
	const kept = Object.entries(from).filter(([name]) => !foreignVariables.test(name) && !name.startsWith("ERRAND_"));
	return Object.fromEntries(kept);
}

function collect(stream: NodeJS.ReadableStream): () => string {
	const chunks: Buffer[] = [];
	let bytes = 0;
	stream.on("data", (chunk: Buffer) => {
		if (bytes < outputLimitBytes) chunks.push(chunk);
		bytes += chunk.length;
	});
	return () => Buffer.concat(chunks).toString("utf8");
}

/** What a program said, in one line for a message: stderr before stdout, no empty lines. */
export function wordsOf({ stdout, stderr, code }: Answer): string {
	const said = `${stderr}\n${stdout}`
		.split("\n")
		.map((line) => line.trim())
		.filter((line) => line !== "")
		.join("; ");
	return said === "" ? `it ended with status ${code ?? "none"} and said nothing` : said.slice(0, 2_000);
}
