/** One worker: a child in its own session, frames on its file descriptor 3, its output in two files. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readdirSync, renameSync, rmSync } from "node:fs";
import type { Socket } from "node:net";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import {
	create,
	fromBinary,
	toBinary,
	type WorkerReply,
	WorkerReplySchema,
	WorkerRequestSchema,
} from "@errand/proto/wire";
import { encodeFrame, FrameReader } from "../worker/frames.ts";
import { killStrays, signalProcess, workerMarker } from "../worker/strays.ts";
import type { CpuGrant } from "./cpu-shares.ts";
import { type HeldTask, keyOf, type WorkerKind } from "./held-task.ts";
import type { Share } from "./node-share.ts";
import { OutputFile } from "./worker-output.ts";

export interface WorkerExit {
	code: number | undefined;
	signal: string | undefined;
	/** The command could not be started at all. */
	spawnError: Error | undefined;
	/** It ended because {@link WorkerProcess.end} was called. */
	asked: boolean;
}

/** Who hears about a worker. Called in the order things happened. */
export interface WorkerListener {
	ready(worker: WorkerProcess): void;
	/** All replies of one read. */
	replied(worker: WorkerProcess, replies: readonly WorkerReply[]): void;
	/** Its process group and whatever descends from it are gone too; all its replies were told. */
	gone(worker: WorkerProcess, exit: WorkerExit): void;
}

export interface WorkerSettings {
	kind: WorkerKind;
	command: readonly [string, ...string[]];
	/** For its output files. */
	directory: string;
	workingDirectory: string;
	sandboxRoot: string | undefined;
	environment: Readonly<Record<string, string>>;
	outputLimitBytes: number;
}

/** What one task finds, beyond what its worker has. */
export interface RunTerms {
	environment: Record<string, string>;
	/** Before a command's own words. */
	launchWords: readonly string[];
	containerWords: readonly string[];
}

type Life = "starting" | "ready" | "ending" | "gone";
const mayFollow: { readonly [L in Life]: readonly Life[] } = {
	starting: ["ready", "ending", "gone"],
	ready: ["ending", "gone"],
	ending: ["gone"],
	gone: [],
};

/** After the process has exited, its replies are still read for this long when somebody else holds the socket open. */
const lastRepliesMs = 500;

export class WorkerProcess {
	readonly kind: WorkerKind;
	readonly id: string = randomUUID();
	readonly stdout: OutputFile;
	readonly stderr: OutputFile;
	/** Empty when tasks run without sandboxes. */
	readonly sandbox: string;
	/** Sent and not answered, in order: the first is the one that runs. */
	readonly inFlight: HeldTask[] = [];
	/** What the tasks in flight hold of the node. */
	share: Share | undefined;
	/** The processors that its last task had: where it is now. */
	cpus: CpuGrant | undefined;
	/** When the first task in flight started, as far as is known here. */
	headSinceMs = 0;
	/** The first task in flight was reported as running. */
	headReported = false;
	idleSinceMs = 0;
	/** How long the tasks in flight are expected to take together. */
	expectedUs = 0;
	/** Nothing more is put behind what is in flight. */
	full = false;
	runtimeVersion = "";

	readonly #child: ChildProcess;
	readonly #listener: WorkerListener;
	readonly #loaded = new Set<string>();
	#life: Life = "starting";
	#frames: Buffer[] = [];
	#killTimer: NodeJS.Timeout | undefined;

	constructor(settings: WorkerSettings, listener: WorkerListener) {
		this.kind = settings.kind;
		this.#listener = listener;
		this.sandbox = settings.sandboxRoot === undefined ? "" : join(settings.sandboxRoot, this.id);
		this.stdout = new OutputFile(join(settings.directory, `${this.id}.stdout`), settings.outputLimitBytes);
		this.stderr = new OutputFile(join(settings.directory, `${this.id}.stderr`), settings.outputLimitBytes);
		const [command, ...args] = settings.command;
		this.#child = spawn(command, args, {
			detached: true,
			cwd: settings.workingDirectory,
			stdio: ["ignore", this.stdout.fd, this.stderr.fd, "pipe"],
			env: { ...settings.environment, [workerMarker]: this.id, ERRAND_SANDBOX_DIRECTORY: this.sandbox },
		});
		this.#listen();
	}

	get life(): Life {
		return this.#life;
	}

	/** 0 when it could not be started. */
	get pid(): number {
		return this.#child.pid ?? 0;
	}

	get loadedFunctions(): number {
		return this.#loaded.size;
	}

	/** Queues the task's frames; {@link flush} sends them. */
	send(task: HeldTask, terms: RunTerms, inlineLimitBytes: number, nowMs: number): void {
		const function_ = keyOf(task.definition.id);
		if (!this.#loaded.has(function_)) {
			this.#loaded.add(function_);
			this.#queue({ case: "load", value: { function: task.definition } });
		}
		if (this.inFlight.length === 0) this.#startHead(nowMs);
		this.inFlight.push(task);
		const byReference = task.payloadPath !== "";
		this.#queue({
			case: "run",
			value: {
				taskId: task.message.id,
				functionId: task.definition.id,
				payload: byReference ? new Uint8Array() : task.message.payload,
				payloadPath: task.payloadPath,
				sandboxDirectory: this.sandbox,
				...terms,
				launchWords: [...terms.launchWords],
				containerWords: [...terms.containerWords],
				resultSerializers: task.message.resultSerializers,
				inlineLimitBytes,
				walltimeMs: task.resources.walltimeMs,
			},
		});
	}

	flush(): void {
		const [first] = this.#frames;
		if (first === undefined) return;
		this.#socket?.write(this.#frames.length === 1 ? first : Buffer.concat(this.#frames));
		this.#frames = [];
	}

	/** The first task in flight is answered: removes it. */
	shift(nowMs: number): HeldTask | undefined {
		const task = this.inFlight.shift();
		if (this.inFlight.length > 0) this.#startHead(nowMs);
		else this.idleSinceMs = nowMs;
		return task;
	}

	/** SIGTERM to the process group, SIGKILL after `graceMs`; 0 kills at once. The worker gets nothing new. */
	end(graceMs: number): void {
		if (this.#life === "gone") return;
		if (this.#life !== "ending") this.#move("ending");
		clearTimeout(this.#killTimer);
		if (graceMs > 0) this.#killTimer = setTimeout(() => this.#kill(), graceMs);
		if (graceMs > 0) signalProcess(-this.pid, "SIGTERM");
		else this.#kill();
	}

	get #socket(): Socket | null | undefined {
		return this.#child.stdio[3] as Socket | null | undefined;
	}

	#kill(): void {
		if (this.pid > 0) signalProcess(-this.pid, "SIGKILL");
	}

	#startHead(nowMs: number): void {
		this.headSinceMs = nowMs;
		this.headReported = false;
	}

	#queue(message: Parameters<typeof requestFrame>[0]): void {
		this.#frames.push(requestFrame(message));
	}

	#move(next: Life): void {
		if (!mayFollow[this.#life].includes(next)) throw new Error(`a worker that is ${this.#life} cannot be ${next}`);
		this.#life = next;
	}

	#listen(): void {
		const reader = new FrameReader();
		const socket = this.#socket;
		socket?.on("error", () => {}); // the worker died while we wrote; its exit tells the rest
		socket?.on("data", (chunk: Buffer) => {
			const replies = reader.push(chunk).map((frame) => fromBinary(WorkerReplySchema, frame));
			const ready = replies.find(({ message }) => message.case === "ready")?.message;
			if (ready?.case === "ready" && this.#life === "starting") {
				this.runtimeVersion = ready.value.runtimeVersion;
				this.#move("ready");
				this.idleSinceMs = Date.now();
				this.#listener.ready(this);
			}
			this.#listener.replied(this, replies);
		});
		this.#child.once("error", (spawnError) => {
			if (this.pid === 0) this.#gone({ code: undefined, signal: undefined, spawnError, asked: false });
		});
		this.#child.once("exit", (code, signal) => {
			signalProcess(-this.pid, "SIGKILL");
			killStrays(this.id, 0);
			const asked = this.#life === "ending";
			const exit = { code: code ?? undefined, signal: signal ?? undefined, spawnError: undefined, asked };
			if (socket === null || socket === undefined || socket.closed) return this.#gone(exit);
			const timer = setTimeout(() => socket.destroy(), lastRepliesMs);
			socket.once("close", () => {
				clearTimeout(timer);
				this.#gone(exit);
			});
		});
	}

	#gone(exit: WorkerExit): void {
		clearTimeout(this.#killTimer);
		this.#move("gone");
		this.#clearSandbox();
		this.#listener.gone(this, exit);
		this.stdout.close();
		this.stderr.close();
	}

	/** What the task that died with the worker left is kept under the task's id. */
	#clearSandbox(): void {
		if (this.sandbox === "") return;
		const [task] = this.inFlight;
		try {
			if (task !== undefined && readdirSync(this.sandbox).length > 0)
				renameSync(this.sandbox, join(dirname(this.sandbox), task.id));
			else rmSync(this.sandbox, { recursive: true, force: true });
		} catch {
			// there is none
		}
	}
}

type RequestMessage = NonNullable<Parameters<typeof create<typeof WorkerRequestSchema>>[1]>["message"];

function requestFrame(message: RequestMessage): Buffer {
	return encodeFrame(toBinary(WorkerRequestSchema, create(WorkerRequestSchema, { message } as { message: never })));
}

/** "SIGSEGV", or "exit code 3". */
export function describeExit({ code, signal }: WorkerExit): string {
	if (signal !== undefined) return `signal ${signal}`;
	const number = (code ?? 0) - 128;
	const name = Object.entries(constants.signals).find(([, value]) => value === number)?.[0];
	return name === undefined ? `exit code ${code}` : `exit code ${code} (${name})`;
}
