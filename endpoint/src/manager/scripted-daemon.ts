/** For tests: a daemon that does what it is told, at the other end of a real gRPC connection to a real manager process. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type FunctionId, idFromBytes, idToBytes, newId, type TaskId } from "@errand/proto/ids";
import { joinBuffer, pack, runtimeOf, type Serialization, serializations } from "@errand/proto/payload";
import {
	type BlobChunk,
	type BlobReference,
	BlobReferenceSchema,
	create,
	type DaemonMessage,
	DaemonMessageSchema,
	type Function as FunctionMessage,
	FunctionSchema,
	type Hello,
	type ManagerMessage,
	type Report,
	ResourcesSchema,
	type Result,
	Runtime,
	type Task,
	TaskBatchSchema,
	TaskSchema,
} from "@errand/proto/wire";
import {
	Server,
	ServerCredentials,
	type ServerDuplexStream,
	type ServerReadableStream,
	type ServerWritableStream,
} from "@grpc/grpc-js";
import { linkName, methods } from "./link.ts";
import { ended, processesIn } from "./process-end.ts";
import { selfSigned } from "./self-signed.ts";

type Attach = ServerDuplexStream<ManagerMessage, DaemonMessage>;

export interface ScriptedDaemonOptions {
	/** As in ERRAND_MANAGER_OPTIONS. */
	options?: Record<string, unknown>;
	acknowledge?: boolean;
	environment?: Record<string, string>;
	/** Tried before its own. */
	addressesBefore?: string[];
	/** The manager's command; its sources on this Node.js unless told otherwise. */
	program?: readonly [string, ...string[]];
}

export interface Submission {
	args?: unknown[];
	kwargs?: Record<string, unknown>;
	as?: Serialization;
	resources?: Parameters<typeof create<typeof ResourcesSchema>>[1];
	hosts?: string[];
	resultSerializers?: string[];
	payloadReference?: BlobReference;
}

export class ScriptedDaemon extends EventEmitter<{ change: [] }> {
	readonly directory = mkdtempSync(join(tmpdir(), "errand-manager-"));
	readonly token = randomUUID();
	readonly hellos: Hello[] = [];
	/** Every result that came, also repeated ones. */
	readonly results: Result[] = [];
	readonly reports: Report[] = [];
	readonly blobs = new Map<string, Buffer>();
	/** Welcome's list for the next manager that attaches. */
	unwanted: Uint8Array[] = [];
	orphanLimitMs = 60_000;
	inlineLimitBytes = 0;
	acknowledge: boolean;
	manager: ChildProcess | undefined;
	managerLog = "";
	readonly #pair = selfSigned(linkName);
	readonly #known = new Set<string>();
	readonly #settings: ScriptedDaemonOptions;
	#server: Server | undefined;
	#stream: Attach | undefined;
	#port = 0;

	constructor(settings: ScriptedDaemonOptions = {}) {
		super();
		this.setMaxListeners(0);
		this.#settings = settings;
		this.acknowledge = settings.acknowledge ?? true;
	}

	/** Listens and starts the manager; resolves when it has said hello. */
	async open(): Promise<this> {
		await this.listen();
		const sources = [process.execPath, fileURLToPath(new URL("main.ts", import.meta.url))] as const;
		const [command, ...args] = this.#settings.program ?? sources;
		this.manager = spawn(command, args, {
			stdio: ["ignore", "pipe", "pipe"],
			env: {
				PATH: process.env.PATH ?? "",
				...this.#settings.environment,
				ERRAND_LINK_ADDRESS: [...(this.#settings.addressesBefore ?? []), `127.0.0.1:${this.#port}`].join(","),
				ERRAND_LINK_CERTIFICATE: Buffer.from(this.#pair.certificate).toString("base64"),
				ERRAND_BLOCK_TOKEN: this.token,
				ERRAND_BLOCK_ID: "block-1",
				ERRAND_MANAGER_DIRECTORY: this.directory,
				ERRAND_MANAGER_OPTIONS: JSON.stringify({ maxWorkers: 2, cores: 2, ...this.#settings.options }),
			},
		});
		for (const stream of [this.manager.stdout, this.manager.stderr])
			stream?.on("data", (data: Buffer) => {
				this.managerLog += data.toString();
			});
		const ended = once(this.manager, "exit").then(([code]) => {
			if (this.hellos.length === 0) throw new Error(`the manager ended with ${code}: ${this.managerLog}`);
		});
		await Promise.race([this.until(() => this.hellos.length > 0), ended]);
		return this;
	}

	async listen(): Promise<void> {
		const server = new Server({ "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 });
		server.addService(methods, {
			attach: (call: Attach) => this.#attach(call),
			getBlob: (call: ServerWritableStream<BlobReference, BlobChunk>) => {
				const data = this.blobs.get(Buffer.from(call.request.sha256).toString("hex")) ?? Buffer.alloc(0);
				call.write({ $typeName: "errand.v1.BlobChunk", data });
				call.end();
			},
			putBlob: (
				call: ServerReadableStream<BlobChunk, BlobReference>,
				answer: (error: null, value: BlobReference) => void,
			) => {
				const parts: Uint8Array[] = [];
				call.on("data", (chunk: BlobChunk) => parts.push(chunk.data));
				call.on("end", () => answer(null, this.keepBlob(Buffer.concat(parts))));
			},
		});
		const credentials = ServerCredentials.createSsl(null, [
			{ private_key: Buffer.from(this.#pair.privateKey), cert_chain: Buffer.from(this.#pair.certificate) },
		]);
		this.#port = await new Promise((resolve, reject) =>
			server.bindAsync(`127.0.0.1:${this.#port}`, credentials, (error, port) =>
				error ? reject(error) : resolve(port),
			),
		);
		this.#server = server;
	}

	keepBlob(data: Buffer): BlobReference {
		const sha256 = createHash("sha256").update(data).digest();
		this.blobs.set(sha256.toString("hex"), data);
		return create(BlobReferenceSchema, { sha256, sizeBytes: data.length });
	}

	/** As `kill -9` of the daemon looks from the manager. Functions sent are forgotten, as by a new daemon. */
	die(): void {
		this.#server?.forceShutdown();
		this.#server = undefined;
		this.#stream = undefined;
		this.#known.clear();
	}

	send(message: DaemonMessage["message"]): void {
		this.#stream?.write(create(DaemonMessageSchema, { message }));
	}

	task(definition: FunctionMessage, submission: Submission = {}): Task {
		const {
			args = [],
			kwargs = {},
			as = serializations.json,
			resources,
			resultSerializers = [],
			payloadReference,
			hosts = [],
		} = submission;
		const payload = pack([joinBuffer(as, JSON.stringify(args)), joinBuffer(as, JSON.stringify(kwargs))]);
		return create(TaskSchema, {
			id: idToBytes(newId<TaskId>()),
			functionId: definition.id,
			groupId: randomBytes(16),
			payload: payloadReference === undefined ? Buffer.from(payload) : Buffer.alloc(0),
			...(payloadReference === undefined ? {} : { payloadReference }),
			...(resources === undefined ? {} : { resources: create(ResourcesSchema, resources) }),
			resultSerializers,
			hosts,
		});
	}

	/** Sends tasks of one function in one batch. */
	submit(definition: FunctionMessage, tasks: Task[]): void {
		const key = idFromBytes<FunctionId>(definition.id);
		const functions = this.#known.has(key) ? [] : [definition];
		this.#known.add(key);
		this.send({ case: "tasks", value: create(TaskBatchSchema, { functions, tasks }) });
	}

	/** Submits one task and waits for its result. */
	async run(definition: FunctionMessage, submission: Submission = {}): Promise<Result> {
		const task = this.task(definition, submission);
		this.submit(definition, [task]);
		return this.result(task);
	}

	async result(task: Task): Promise<Result> {
		await this.until(() => this.resultsOf(task).length > 0);
		return this.resultsOf(task)[0] as Result;
	}

	resultsOf(task: Task): Result[] {
		return this.results.filter((result) => Buffer.from(result.taskId).equals(task.id));
	}

	reportsOf(task: Task): Report[] {
		return this.reports.filter((report) => Buffer.from(report.taskId).equals(task.id));
	}

	/** What a task has printed so far, as far as it was told. */
	outputOf(task: Task, stream = 1): string {
		const parts = this.reportsOf(task).map(({ event }) => event);
		return Buffer.concat(
			parts.map((event) =>
				event.case === "output" && event.value.stream === stream ? event.value.data : Buffer.alloc(0),
			),
		).toString();
	}

	/** Resolves when the condition holds; looked at after every message of the manager. */
	async until(condition: () => boolean): Promise<void> {
		while (!condition()) await once(this, "change");
	}

	async close(): Promise<void> {
		const { manager } = this;
		if (manager !== undefined && manager.exitCode === null && manager.signalCode === null) {
			manager.kill("SIGTERM");
			await once(manager, "exit");
		}
		this.#server?.forceShutdown();
		// A worker of a manager that was killed lives a little longer, and makes its sandbox while this is removed.
		for (let times = 0; times < 3 && existsSync(this.directory); times++) {
			for (const pid of processesIn(this.directory)) await ended(pid);
			rmSync(this.directory, { recursive: true, force: true });
		}
	}

	#attach(call: Attach): void {
		if (call.metadata.get("authorization")[0] !== `Bearer ${this.token}`) {
			call.destroy(new Error("unauthorized"));
			return;
		}
		call.on("error", () => {});
		call.on("end", () => call.end());
		call.on("data", ({ message }: ManagerMessage) => {
			if (message.case === "hello") {
				this.#stream = call;
				this.send({
					case: "welcome",
					value: {
						$typeName: "errand.v1.Welcome",
						pulseIntervalMs: 1000,
						silenceLimitMs: 30_000,
						orphanLimitMs: this.orphanLimitMs,
						unwantedTaskIds: this.unwanted,
						inlineLimitBytes: this.inlineLimitBytes,
					},
				});
				this.hellos.push(message.value);
			}
			if (message.case === "reports") this.reports.push(...message.value.reports);
			if (message.case === "results") {
				this.results.push(...message.value.results);
				const taskIds = message.value.results.map((result) => result.taskId);
				if (this.acknowledge) this.send({ case: "resultAck", value: { $typeName: "errand.v1.ResultAck", taskIds } });
			}
			this.emit("change");
		});
	}
}

/** A function as the cloud hands it on. */
function define(code: Serialization, name: string, content: string): FunctionMessage {
	const packed = pack([joinBuffer(code, content)]);
	return create(FunctionSchema, {
		id: idToBytes(newId<FunctionId>()),
		runtime: runtimeOf(packed) ?? Runtime.UNSPECIFIED,
		code: Buffer.from(packed),
		name,
	});
}

export const javascript = (source: string, name = "f"): FunctionMessage =>
	define(serializations.javascriptSource, name, `${name}:${source}`);
export const python = (source: string, name = "f"): FunctionMessage =>
	define(serializations.pythonSource, name, `${name}:${source}`);
export const command = (text: string, more: object = {}): FunctionMessage =>
	define(serializations.command, "command", JSON.stringify({ command: text, ...more }));

export const hexOf = (ids: readonly Uint8Array[] = []): string[] => ids.map((id) => Buffer.from(id).toString("hex"));

/** The buffer of a result that is a value; throws with the failure when it is not. */
export function valueIn({ outcome }: Result): string {
	if (outcome.case === "value") return Buffer.from(outcome.value).toString();
	throw new Error(`no value: ${JSON.stringify(outcome)}`);
}

export const jsonOf = (result: Result): unknown => JSON.parse(valueIn(result).replace(/^11\n/, ""));

export function failureIn({ outcome }: Result) {
	if (outcome.case === "failure") return outcome.value;
	throw new Error(
		`no failure: ${outcome.case} ${outcome.case === "value" ? Buffer.from(outcome.value).toString() : ""}`,
	);
}
