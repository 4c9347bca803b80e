/** One reader's connection: its requests, its token, its pulse. */
import { randomUUID } from "node:crypto";
import { Fault, parseId, type TaskGroupId } from "@errand/proto";
import { type StreamFrame, streamClose, streamRequest } from "@errand/proto/rest";
import type { WebSocket } from "ws";
import type * as z from "zod";
import { authenticate } from "../http/authenticate.ts";
import { faultOfIssues, toFault } from "../http/problem.ts";
import type { RateLimiter } from "../http/rate-limit.ts";
import type { TokenVerifier } from "../identity/verify-token.ts";
import type { Log } from "../observe/log.ts";
import type { Operations } from "../operations/operations.ts";
import type { Caller } from "../policy/caller.ts";
import type { Hub, Reader } from "./hub.ts";

export interface SessionMeans {
	readonly hub: Hub;
	readonly operations: Pick<Operations, "authorizeGroup">;
	readonly verifier: TokenVerifier;
	readonly limiter: RateLimiter;
	readonly log: Log;
	/** How long before its token's end a reader is told. */
	readonly tokenNoticeMs: number;
}

/** Groups that one connection follows: a process with more should read by group. */
const subscriptionLimit = 1000;
/** Requests read ahead of the one that is being worked on; beyond it the connection is not read. */
const requestsAhead = 100;
/** The longest that a Node timer waits. */
const timerLimitMs = 2_147_483_647;
/** PostgreSQL's bigint. */
const largestCursor = 9_223_372_036_854_775_807n;

type Request = z.output<typeof streamRequest>;

export class StreamSession {
	/** Stands for the connection in the log and in what is told of a failure. */
	readonly #id = randomUUID();
	readonly #means: SessionMeans;
	readonly #socket: WebSocket;
	readonly #reader: Reader;
	#caller: Caller;
	#token: string;
	#timer: NodeJS.Timeout | undefined;
	#heard = true;
	#closing = false;
	#pending = 0;
	/** Requests are worked on one after the other. */
	#turn: Promise<void> = Promise.resolve();

	constructor(means: SessionMeans, socket: WebSocket, caller: Caller, token: string) {
		this.#means = means;
		this.#socket = socket;
		this.#caller = caller;
		this.#token = token;
		this.#reader = means.hub.connect({
			send: (text) => socket.send(text, this.#onSent),
			get bufferedBytes() {
				return socket.bufferedAmount;
			},
		});
		socket.on("message", (data, isBinary) => this.#onMessage(String(data), isBinary));
		socket.on("pong", () => {
			this.#heard = true;
		});
		socket.on("error", (error) => means.log.debug({ err: error }, "stream connection failed"));
		socket.on("close", () => {
			this.#closing = true;
			clearTimeout(this.#timer);
			this.#reader.close();
		});
		this.#watchToken();
	}

	get accountId(): string {
		return this.#caller.accountId;
	}

	/** To be called at every beat: ends a connection that has been silent since the last, and one whose token was revoked. */
	async beat(): Promise<void> {
		if (this.#closing) {
			this.#socket.terminate();
			return;
		}
		if (!this.#heard) {
			if (this.#socket.bufferedAmount > 0) this.close(streamClose.tooSlow, "nothing was read");
			else this.#socket.terminate();
			return;
		}
		this.#heard = false;
		this.#socket.ping();
		try {
			await this.#means.verifier.verify(this.#token);
		} catch (error) {
			// Only a refusal ends it: when the verifier itself is down, the token's own end is soon enough.
			if (error instanceof Fault && error.code === "INVALID_AUTH_TOKEN") {
				this.close(streamClose.unauthenticated, "the token has been revoked");
			}
		}
	}

	close(code: number, reason: string): void {
		if (this.#closing) return;
		this.#closing = true;
		this.#reader.close();
		this.#socket.close(code, reason);
	}

	terminate(): void {
		this.#socket.terminate();
	}

	readonly #onSent = (): void => {
		if (!this.#closing) this.#reader.drained();
	};

	#send(frame: StreamFrame): void {
		if (!this.#closing) this.#socket.send(JSON.stringify(frame), this.#onSent);
	}

	#tell(error: unknown, group?: TaskGroupId): void {
		const fault = toFault(error, this.#id);
		if (fault.httpStatus >= 500)
			this.#means.log.error({ requestId: this.#id, err: fault.cause ?? fault }, "stream request failed");
		this.#send({ type: "error", ...(group !== undefined && { group }), code: fault.code, detail: fault.message });
	}

	#onMessage(text: string, isBinary: boolean): void {
		this.#heard = true;
		if (this.#closing) return;
		let request: Request;
		try {
			request = parseRequest(text, isBinary);
		} catch (error) {
			this.#tell(error);
			return;
		}
		if (request.type === "credit") {
			this.#reader.grant(request.frames);
			return;
		}
		this.#pending++;
		if (this.#pending > requestsAhead) this.#socket.pause();
		this.#turn = this.#turn
			.then(() => this.#work(request))
			.finally(() => {
				this.#pending--;
				if (this.#socket.isPaused && this.#pending <= requestsAhead / 2) this.#socket.resume();
			});
	}

	async #work(request: Exclude<Request, { type: "credit" }>): Promise<void> {
		if (this.#closing) return;
		const group = "group" in request ? parseId<TaskGroupId>(request.group) : undefined;
		try {
			if (request.type === "token") await this.#renew(request.access_token);
			else if (group !== undefined && request.type === "unsubscribe") this.#reader.unsubscribe(group);
			else if (group !== undefined && request.type === "subscribe") await this.#subscribe(group, request);
		} catch (error) {
			this.#tell(error, group);
		}
	}

	async #subscribe(group: TaskGroupId, request: Extract<Request, { type: "subscribe" }>): Promise<void> {
		const cursor = BigInt(request.cursor);
		if (cursor > largestCursor) throw new Fault("SEMANTICALLY_INVALID", "cursor: is not one that this service gave.");
		const groups = this.#reader.groups;
		if (groups.length >= subscriptionLimit && !groups.includes(group)) {
			throw new Fault(
				"TOO_MANY_REQUESTS",
				`One connection follows at most ${subscriptionLimit} task groups: unsubscribe from some, or open another connection.`,
			);
		}
		this.#means.limiter.take(`account ${this.#caller.accountId}`);
		await this.#means.operations.authorizeGroup(this.#caller, group);
		if (!this.#closing) this.#reader.subscribe(group, cursor, new Set(request.also));
	}

	/** Takes a fresh token: of the same account, and every group is authorized again with it. */
	async #renew(token: string): Promise<void> {
		const caller = await authenticate(this.#means.verifier, token);
		if (caller.accountId !== this.#caller.accountId) {
			this.close(streamClose.forbidden, "the token is another account's");
			return;
		}
		if (this.#closing) return;
		this.#caller = caller;
		this.#token = token;
		this.#watchToken();
		for (const group of this.#reader.groups) {
			try {
				await this.#means.operations.authorizeGroup(caller, group);
			} catch (error) {
				this.#reader.unsubscribe(group);
				this.#tell(error, group);
			}
		}
	}

	/** Tells the reader in time, and ends the connection when the token does. */
	#watchToken(): void {
		clearTimeout(this.#timer);
		if (this.#closing) return;
		const leftMs = this.#caller.tokenExpiresAtMs - Date.now();
		if (leftMs <= 0) {
			this.close(streamClose.unauthenticated, "the token has ended");
			return;
		}
		const noticeInMs = leftMs - this.#means.tokenNoticeMs;
		if (noticeInMs > 0) {
			this.#timer = setTimeout(() => this.#watchToken(), Math.min(noticeInMs, timerLimitMs)).unref();
			return;
		}
		this.#send({ type: "token-expiring", expires_in_s: Math.round(leftMs / 100) / 10 });
		this.#timer = setTimeout(() => this.#watchToken(), leftMs).unref();
	}
}

function parseRequest(text: string, isBinary: boolean): Request {
	let value: unknown;
	try {
		if (!isBinary) value = JSON.parse(text);
	} catch (error) {
		throw new Fault("REQUEST_MALFORMED", "The frame is not JSON.", { cause: error });
	}
	if (value === undefined) throw new Fault("REQUEST_MALFORMED", "The frame is binary: send JSON as text.");
	const parsed = streamRequest.safeParse(value);
	if (!parsed.success) throw faultOfIssues("body", parsed.error);
	return parsed.data;
}
