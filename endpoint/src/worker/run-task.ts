/** One task at a time: prepare, call, answer. A task that needs no waiting is answered without a turn of the event loop. */
import { AsyncLocalStorage } from "node:async_hooks";
import { fstatSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Fault } from "@errand/proto/fault";
import { type CommandFunction, joinBuffer, serializations, splitBuffer, unpack } from "@errand/proto/payload";
import {
	create,
	type Function as FunctionMessage,
	type RunTask,
	type TaskDone,
	TaskDoneSchema,
	WorkerReplySchema,
} from "@errand/proto/wire";
import { fillTemplate } from "./command/command-text.ts";
import { runCommand } from "./command/run-command.ts";
import { pinTo } from "./cpu-pin.ts";
import { type Call, decodeCall, encodeResult } from "./javascript/call-values.ts";
import { loadFunction, type RemoteFunction } from "./javascript/function-module.ts";
import { failureOf } from "./javascript/remote-failure.ts";
import type { ManagerChannel } from "./manager-channel.ts";
import { enterSandbox, leaveSandbox } from "./sandbox.ts";
import { killStrays } from "./strays.ts";
import { restoreEnvironment, setEnvironment } from "./task-environment.ts";

/** The task that runs now, and what must be undone when it ends. */
export interface RunningTask {
	readonly request: RunTask;
	readonly id: string;
	readonly startedAtUs: number;
	readonly environmentBefore: ReadonlyMap<string, string | undefined>;
	/** Something was started that may outlive the task. */
	startedProcesses: boolean;
	/** Ends a waiting task from outside its own promise. */
	fail: ((reason: unknown) => void) | undefined;
}

type End = { value: string } | { thrown: unknown };

export interface TaskRunnerOptions {
	/** What descendants of this worker carry in their environment. */
	workerId: string;
	/** Where values above the inline limit are put. */
	spillDirectory: string;
	keepSandboxes: boolean;
}

type Loaded = { is: "function"; call: RemoteFunction } | { is: "command"; command: CommandFunction };
type Entry = Loaded | { is: "refused"; reason: unknown } | { is: "loading"; loaded: Promise<Loaded> };

export class TaskRunner {
	readonly #channel: ManagerChannel;
	readonly #options: TaskRunnerOptions;
	readonly #functions = new Map<string, Entry>();
	readonly #story = new AsyncLocalStorage<RunningTask>();
	#running: RunningTask | undefined;

	constructor(channel: ManagerChannel, options: TaskRunnerOptions) {
		this.#channel = channel;
		this.#options = options;
	}

	/** The task that the calling code belongs to, if it says so; else the one that runs. */
	get current(): RunningTask | undefined {
		return this.#story.getStore() ?? this.#running;
	}

	isRunning(task: RunningTask): boolean {
		return task === this.#running;
	}

	load(definition: FunctionMessage): void {
		const key = keyOf(definition.id);
		const loaded = load(definition);
		this.#functions.set(key, { is: "loading", loaded });
		loaded.then(
			(entry) => this.#functions.set(key, entry),
			(reason: unknown) => this.#functions.set(key, { is: "refused", reason }),
		);
	}

	/** Returns a promise only when the task has to wait for something. It never rejects. */
	run(request: RunTask): Promise<void> | undefined {
		pinTo(request.environment.ERRAND_CPUS);
		const task: RunningTask = {
			request,
			id: request.environment.ERRAND_TASK_ID ?? "",
			startedAtUs: nowUs(),
			environmentBefore: setEnvironment(request.environment),
			startedProcesses: false,
			fail: undefined,
		};
		this.#running = task;
		try {
			enterSandbox(request.sandboxDirectory);
			const entry = this.#functions.get(keyOf(request.functionId));
			const value = this.#story.run(task, () => this.#call(entry, request));
			if (typeof value !== "string") return this.#wait(task, value);
			this.#end(task, { value });
		} catch (thrown) {
			this.#end(task, { thrown });
		}
		return undefined;
	}

	#wait(task: RunningTask, value: Promise<string>): Promise<void> {
		const interrupted = new Promise<never>((_, reject) => {
			task.fail = reject;
		});
		return Promise.race([value, interrupted]).then(
			(value) => this.#end(task, { value }),
			(thrown: unknown) => this.#end(task, { thrown }),
		);
	}

	#call(entry: Entry | undefined, request: RunTask): string | Promise<string> {
		if (entry === undefined) throw new Fault("FUNCTION_NOT_LOADED", "the manager did not send this task's function");
		if (entry.is === "refused") throw entry.reason;
		if (entry.is === "loading") return entry.loaded.then((loaded) => this.#call(loaded, request));
		const call = decodeCall(payloadText(request));
		if (entry.is === "command") return callCommand(entry.command, call, request);
		const args = Object.keys(call.kwargs).length > 0 ? [...call.args, call.kwargs] : call.args;
		const remote = entry.call; // called bare: stacks show the function's own name
		const value = remote(...args);
		if (isThenable(value))
			return Promise.resolve(value).then((settled) => encodeResult(settled, call, request.resultSerializers));
		return encodeResult(value, call, request.resultSerializers);
	}

	#end(task: RunningTask, end: End): void {
		const { request } = task;
		const outcome = this.#outcome(task, end);
		restoreEnvironment(task.environmentBefore);
		if (task.startedProcesses) killStrays(this.#options.workerId, process.pid);
		this.#running = undefined;
		try {
			leaveSandbox(request.sandboxDirectory, task.id, "thrown" in end || this.#options.keepSandboxes);
		} catch (error) {
			process.stderr.write(`errand: the task's sandbox could not be cleared: ${(error as Error).message}\n`);
		}
		const done = create(TaskDoneSchema, {
			taskId: request.taskId,
			outcome,
			startedAtUs: task.startedAtUs,
			finishedAtUs: nowUs(),
			stdoutEndBytes: fstatSync(1).size,
			stderrEndBytes: fstatSync(2).size,
		});
		this.#channel.send(create(WorkerReplySchema, { message: { case: "done", value: done } }));
	}

	#outcome(task: RunningTask, end: End): TaskDone["outcome"] {
		if ("thrown" in end) return { case: "failure", value: failureOf(end.thrown) };
		const value = Buffer.from(end.value);
		if (value.length <= task.request.inlineLimitBytes) return { case: "value", value };
		try {
			const path = join(this.#options.spillDirectory, `${task.id}.result`);
			writeFileSync(path, value, { mode: 0o600 });
			return { case: "valuePath", value: path };
		} catch (error) {
			const message = `the result of ${value.length} bytes could not be written: ${(error as Error).message}`;
			return { case: "failure", value: failureOf(new Fault("RESULT_TOO_LARGE", message, { cause: error })) };
		}
	}
}

async function load({ code }: FunctionMessage): Promise<Loaded> {
	const buffer = unpack(new TextDecoder().decode(code))[0] ?? "";
	const { id, content } = splitBuffer(buffer);
	if (id === serializations.command) return { is: "command", command: JSON.parse(content) as CommandFunction };
	if (id === serializations.javascriptSource) return { is: "function", call: await loadFunction(content) };
	throw new Fault(
		"FUNCTION_NOT_LOADED",
		`code of serialization ${JSON.stringify(id)} does not run in a Node.js worker`,
	);
}

/** Parameters come as keyword arguments; one object as the only positional argument is taken as them. */
async function callCommand(command: CommandFunction, call: Call, request: RunTask): Promise<string> {
	const first: unknown = call.args[0];
	const positional = call.args.length === 1 && typeof first === "object" && first !== null ? first : {};
	const text = fillTemplate(command.command, { ...positional, ...call.kwargs });
	return joinBuffer(serializations.json, JSON.stringify(await runCommand({ command, text, ...request })));
}

function payloadText({ payload, payloadPath }: RunTask): string {
	if (payloadPath !== "") return readFileSync(payloadPath, "utf8");
	return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString("utf8");
}

function keyOf(id: Uint8Array): string {
	return Buffer.from(id.buffer, id.byteOffset, id.byteLength).toString("latin1");
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
	return (
		(typeof value === "object" || typeof value === "function") &&
		value !== null &&
		typeof (value as { then?: unknown }).then === "function"
	);
}

function nowUs(): number {
	return Math.round((performance.timeOrigin + performance.now()) * 1000);
}
