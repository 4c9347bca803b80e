/** For tests: a cloud of the public shapes on a loopback port that really runs JavaScript functions, in this process. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { joinBuffer, referenceOf, serializations, splitBuffer, splitSource, unpack } from "@errand/proto";
import type { FailureDocument, StreamRequest, StreamResult } from "@errand/proto/rest";
import { parseStructured, stringifyStructured } from "@errand/proto/structured-value";
import { type WebSocket, WebSocketServer } from "ws";

export interface SeenRequest {
	method: string;
	path: string;
	headers: IncomingMessage["headers"];
	body: string;
}

interface TestTask {
	id: string;
	group: string;
	functionId: string;
	payload: string;
	resources: unknown;
	result: StreamResult | undefined;
	cursor: number;
	stdout: string;
	cancelled: boolean;
}

/** A reply instead of the real one, used once. */
export interface Scripted {
	method: string;
	path: RegExp;
	status: number;
	headers?: Record<string, string>;
	body?: unknown;
	/** The request is handled, and its reply is lost. */
	loseReply?: boolean;
}

export async function openTestCloud() {
	return new TestCloud().open();
}

const failed = (code: FailureDocument["code"], error: Error): FailureDocument => ({
	code,
	name: error.name,
	message: error.message,
	stack: error.stack ?? "",
	exit_code: 0,
	signal: "",
	stderr_tail: "",
});

export class TestCloud implements AsyncDisposable {
	readonly seen: SeenRequest[] = [];
	readonly scripted: Scripted[] = [];
	readonly functions = new Map<string, { name: string; code: string }>();
	readonly tasks = new Map<string, TestTask>();
	readonly blobs = new Map<string, Buffer>();
	readonly streamRequests: StreamRequest[] = [];
	readonly sockets = new Map<WebSocket, { group: string; cursor: number; credit: number; reports: boolean }>();
	readonly upgrades: IncomingMessage["headers"][] = [];
	/** Tokens that are taken. */
	tokens = new Set(["good"]);
	/** No WebSocket gets through. */
	refuseSockets = false;
	/** Called before a task runs; a promise holds it. */
	before: ((task: TestTask) => Promise<void> | void) | undefined;
	inlineLimitBytes = 256 * 1024;
	readonly #submits = new Map<string, string>();
	readonly #server = createServer((request, reply) => void this.#serve(request, reply));
	readonly #sockets = new WebSocketServer({ noServer: true });
	readonly #connections = new Set<Socket>();
	#cursor = 0;

	async open(): Promise<this> {
		this.#server.on("connection", (socket) => {
			this.#connections.add(socket);
			socket.on("close", () => this.#connections.delete(socket));
		});
		this.#server.on("upgrade", (request, socket, head) => {
			const token = request.headers.authorization?.slice("Bearer ".length) ?? "";
			if (this.refuseSockets) return socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n");
			if (!this.tokens.has(token)) return socket.end("HTTP/1.1 401 Unauthorized\r\n\r\n");
			this.upgrades.push(request.headers);
			return this.#sockets.handleUpgrade(request, socket as Socket, head, (ws) => this.#follow(ws));
		});
		await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
		return this;
	}

	get url(): string {
		return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
	}

	/** Paths of the requests of a method, in order. */
	paths(method: string): string[] {
		return this.seen.filter((request) => request.method === method).map((request) => request.path.split("?")[0] ?? "");
	}

	say(group: string, frame: object): void {
		for (const [ws, { group: followed }] of this.sockets) if (followed === group) ws.send(JSON.stringify(frame));
	}

	/** Ends every stream with a close code, or by cutting the connection. */
	closeStreams(code?: number): void {
		for (const ws of this.sockets.keys()) code === undefined ? ws.terminate() : ws.close(code);
		this.sockets.clear();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		for (const ws of this.#sockets.clients) ws.terminate();
		for (const socket of this.#connections) socket.destroy();
		await new Promise((resolve) => this.#server.close(resolve));
	}

	async #serve(request: IncomingMessage, reply: ServerResponse): Promise<void> {
		const chunks: Buffer[] = [];
		for await (const chunk of request) chunks.push(chunk as Buffer);
		const bytes = Buffer.concat(chunks);
		const { method = "GET", url: path = "/" } = request;
		const seen = { method, path, headers: request.headers, body: bytes.toString() };
		this.seen.push(seen);
		const at = this.scripted.findIndex((each) => each.method === method && each.path.test(path));
		const script = at < 0 ? undefined : this.scripted.splice(at, 1)[0];
		if (script !== undefined && script.loseReply !== true) {
			return this.#reply(reply, script.status, script.body ?? {}, script.headers);
		}
		if (!this.tokens.has(request.headers.authorization?.slice(7) ?? "")) {
			return this.#problem(reply, 401, "INVALID_AUTH_TOKEN", "the token has ended");
		}
		if (path.startsWith("/v1/blobs/")) return this.#blob(method, path.slice(10), bytes, reply);
		const [status, body] = this.#route(seen);
		if (script?.loseReply === true) {
			reply.destroy();
			return;
		}
		this.#reply(reply, status, body);
	}

	#reply(reply: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
		reply.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
	}

	#problem(reply: ServerResponse, status: number, code: string, detail: string): void {
		this.#reply(reply, status, {
			status: "Failed",
			code,
			http_status_code: status,
			error_args: [],
			detail,
			reason: detail,
		});
	}

	#blob(method: string, sha256: string, bytes: Buffer, reply: ServerResponse): void {
		if (method === "PUT") {
			this.blobs.set(sha256, bytes);
			this.#reply(reply, 200, {});
			return;
		}
		const found = this.blobs.get(sha256);
		if (found === undefined) {
			this.#problem(reply, 404, "BLOB_NOT_FOUND", "no such blob");
			return;
		}
		reply.writeHead(200).end(method === "HEAD" ? undefined : found);
	}

	#route({ method, path, headers, body }: SeenRequest): [number, unknown] {
		const input = (): Record<string, unknown> => JSON.parse(body) as Record<string, unknown>;
		const [, id = ""] = /([0-9a-f-]{36})/.exec(path) ?? [];
		if (method === "POST" && path === "/v3/functions") {
			const functionId = crypto.randomUUID();
			const { function_name, function_code } = input();
			this.functions.set(functionId, { name: String(function_name), code: String(function_code) });
			return [200, { function_uuid: functionId }];
		}
		if (method === "POST" && path === "/v1/task-groups") return [200, { task_group_id: crypto.randomUUID() }];
		if (method === "GET" && path.startsWith("/v1/endpoints/")) return [200, this.#endpoint(path.slice(14))];
		if (method === "POST" && path.endsWith("/submit"))
			return this.#submit(id, input(), String(headers["idempotency-key"]));
		if (method === "POST" && path === "/v2/batch_status") {
			const ids = input().task_ids as string[];
			return [200, { response: "batch", results: Object.fromEntries(ids.map((each) => [each, this.#status(each)])) }];
		}
		if (method === "GET" && path.startsWith("/v2/taskgroup/")) {
			const tasks = [...this.tasks.values()].filter((task) => task.group === id).map((task) => ({ id: task.id }));
			return [200, { taskgroup_id: id, tasks }];
		}
		if (method === "POST" && path === "/v1/tasks/cancel") return [200, this.#cancel(input().task_ids as string[])];
		const task = this.tasks.get(id);
		if (task === undefined) return [404, { code: "ROUTE_NOT_FOUND", detail: `no ${method} ${path}` }];
		if (path.endsWith("/explanation")) return [200, this.#explanation(task)];
		if (path.includes("/output?")) return [200, this.#output(task, path)];
		return [200, this.#document(task)];
	}

	#endpoint(name: string): object {
		return {
			id: "11111111-2222-4333-8444-555555555555",
			name,
			display_name: null,
			owner_id: crypto.randomUUID(),
			status: "online",
			last_seen_at: null,
			host: null,
			public: false,
			details: {},
			unfinished_tasks: 0,
			created_at: new Date(0).toISOString(),
		};
	}

	#submit(endpoint: string, input: Record<string, unknown>, key: string): [number, unknown] {
		const known = this.#submits.get(key);
		if (known !== undefined) return [200, JSON.parse(known)];
		const group = String(input.task_group_id);
		const tasks: Record<string, string[]> = {};
		for (const [functionId, payloads] of Object.entries(input.tasks as Record<string, string[]>)) {
			tasks[functionId] = payloads.map((payload) =>
				this.#accept(group, functionId, payload, input.resource_specification),
			);
		}
		const reply = { request_id: crypto.randomUUID(), task_group_id: group, endpoint_id: endpoint, tasks };
		this.#submits.set(key, JSON.stringify(reply));
		return [200, reply];
	}

	#accept(group: string, functionId: string, payload: string, resources: unknown): string {
		const id = crypto.randomUUID();
		const task: TestTask = {
			id,
			group,
			functionId,
			payload,
			resources,
			result: undefined,
			cursor: 0,
			stdout: "",
			cancelled: false,
		};
		this.tasks.set(id, task);
		void this.#run(task);
		return id;
	}

	async #run(task: TestTask): Promise<void> {
		await this.before?.(task);
		if (task.result !== undefined) return;
		try {
			this.finish(task, { value: await this.#call(task) });
		} catch (error) {
			this.finish(task, { failure: failed("FUNCTION_FAILED", error as Error) });
		}
	}

	async #call(task: TestTask): Promise<string> {
		const found = this.functions.get(task.functionId);
		const { id, content } = splitBuffer(unpack(found?.code ?? "")[0] ?? "");
		const reference = referenceOf(task.payload);
		const packed = reference === undefined ? task.payload : String(this.blobs.get(reference.sha256));
		const [args = "", kwargs = ""] = unpack(packed)
			.map(splitBuffer)
			.map((buffer) => buffer.content);
		if (id === serializations.command) {
			const { command } = JSON.parse(content) as { command: string };
			const result = { cmd: command, stdout: kwargs, stderr: "", returncode: 0, exception_name: null };
			return joinBuffer(serializations.json, JSON.stringify(result));
		}
		if (id !== serializations.javascriptSource)
			return joinBuffer(serializations.json, JSON.stringify({ args, kwargs }));
		const { name, source } = splitSource(content);
		const url = `data:text/javascript;base64,${Buffer.from(source).toString("base64")}`;
		const loaded = (await import(/* @vite-ignore */ url)) as Record<string, (...args: unknown[]) => unknown>;
		const structured = packed.includes("\nev\n");
		const values = (structured ? parseStructured(args) : JSON.parse(args)) as unknown[];
		const value = await loaded[name]?.(...values);
		return joinBuffer(serializations.structured, stringifyStructured(value));
	}

	/** Records the task's end and tells who follows its group. */
	finish(task: TestTask, outcome: { value: string } | { failure: FailureDocument }): void {
		if (task.result !== undefined) return;
		const base = { task_id: task.id, stdout_bytes: 0, stderr_bytes: 0 };
		if ("failure" in outcome) {
			const cancelled = outcome.failure.code === "CANCELLED";
			task.result = { ...base, state: cancelled ? "cancelled" : "failed", failure: outcome.failure };
		} else if (Buffer.byteLength(outcome.value) > this.inlineLimitBytes) {
			task.result = { ...base, state: "success", value_reference: this.#store(outcome.value) };
		} else task.result = { ...base, state: "success", value: outcome.value };
		task.cursor = ++this.#cursor;
		for (const ws of this.sockets.keys()) this.#push(ws);
	}

	#store(value: string): { sha256: string; size_bytes: number } {
		const bytes = Buffer.from(value);
		const sha256 = createHash("sha256").update(bytes).digest("hex");
		this.blobs.set(sha256, bytes);
		return { sha256, size_bytes: bytes.length };
	}

	#cancel(ids: readonly string[]): object {
		const reply = {
			cancelled: [] as string[],
			requested: [] as string[],
			finished: [] as string[],
			not_found: [] as string[],
		};
		for (const id of ids) {
			const task = this.tasks.get(id);
			if (task === undefined) reply.not_found.push(id);
			else if (task.result !== undefined) reply.finished.push(id);
			else {
				reply.cancelled.push(id);
				this.finish(task, { failure: { ...failed("CANCELLED", new Error("somebody asked")), name: "Cancelled" } });
			}
		}
		return reply;
	}

	#status(id: string): object {
		const result = this.tasks.get(id)?.result;
		if (result === undefined) return { task_id: id, status: "pending" };
		return { task_id: id, status: result.state, ...(result.value === undefined ? {} : { result: result.value }) };
	}

	#output(task: TestTask, path: string): object {
		const offset = Number(new URL(path, "http://x").searchParams.get("offset"));
		const bytes = Buffer.from(task.stdout);
		return {
			stream: "stdout",
			offset_bytes: offset,
			data: bytes.subarray(offset).toString(),
			next_offset_bytes: bytes.length,
			truncated: false,
			ended: task.result !== undefined,
		};
	}

	#document(task: TestTask): object {
		const { result } = task;
		return {
			id: task.id,
			group_id: task.group,
			endpoint_id: "11111111-2222-4333-8444-555555555555",
			endpoint_name: "local",
			function_id: task.functionId,
			function_name: "f",
			state: result?.state ?? "running",
			cancel_requested: false,
			created_at: new Date(0).toISOString(),
			finished_at: null,
			retry_of: null,
			resources: task.resources ?? null,
			transitions: [],
			execution: null,
			failure: result?.failure ?? null,
			...(result?.value === undefined ? {} : { result: result.value }),
			...(result?.value_reference === undefined ? {} : { result_reference: result.value_reference }),
			stdout_bytes: 0,
			stderr_bytes: 0,
		};
	}

	#explanation(task: TestTask): object {
		return {
			task_id: task.id,
			state: task.result?.state ?? "waiting-for-nodes",
			word: task.result === undefined ? "block-pending" : null,
			sentence: task.result === undefined ? "One block is queued, because of Priority." : "It does not wait.",
			since: new Date(0).toISOString(),
			endpoint_id: "11111111-2222-4333-8444-555555555555",
			endpoint_name: "local",
			endpoint_status: "online",
			endpoint_seen_at: null,
			trouble: null,
		};
	}

	#follow(ws: WebSocket): void {
		ws.on("close", () => this.sockets.delete(ws));
		ws.on("message", (data) => {
			const request = JSON.parse(String(data)) as StreamRequest;
			this.streamRequests.push(request);
			const followed = this.sockets.get(ws);
			if (request.type === "subscribe") {
				const cursor = Number(request.cursor ?? "0");
				const reports = (request.also ?? []).length > 0;
				this.sockets.set(ws, { group: request.group, cursor, credit: followed?.credit ?? 64, reports });
				ws.send(JSON.stringify({ type: "subscribed", group: request.group, cursor: String(cursor) }));
			}
			if (request.type === "credit" && followed !== undefined) followed.credit += request.frames;
			this.#push(ws);
		});
	}

	/** One result a frame, as far as the credit goes. */
	#push(ws: WebSocket): void {
		const followed = this.sockets.get(ws);
		if (followed === undefined) return;
		for (const task of [...this.tasks.values()].sort((a, b) => a.cursor - b.cursor)) {
			if (task.result === undefined || task.group !== followed.group || task.cursor <= followed.cursor) continue;
			if (followed.credit === 0) return;
			followed.credit--;
			followed.cursor = task.cursor;
			const frame = { type: "results", group: task.group, cursor: String(task.cursor), results: [task.result] };
			ws.send(JSON.stringify(frame));
		}
	}
}
