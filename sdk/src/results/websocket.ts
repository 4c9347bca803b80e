/**
 * The stream of a group's results: one WebSocket that comes back by itself from the last cursor handled, grants credit
 * as it handles frames, and renews its token.
 */

import { faults, isFaultCode, type TaskGroupId } from "@errand/proto";
import { type StreamFrame, type StreamRequest, streamClose } from "@errand/proto/rest";
import { platform } from "#platform";
import { type BackOff, waitBeforeMs } from "../back-off.ts";
import { CloudError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Socket } from "../platform/platform.ts";
import type { Feed, FeedListener } from "./feed.ts";

export interface StreamOptions {
	cloudUrl: string;
	accessToken(options?: { forceRefresh?: boolean }): Promise<string>;
	group: TaskGroupId;
	/** The last cursor handled; "0" for everything. */
	cursor?: string;
	listener: FeedListener;
	/** Told when results start to flow, and when they stop (`failures`: how many attempts in a row have failed). */
	onFlow?(flowing: boolean, failures: number): void;
	backOff?: BackOff;
	log: Log;
}

/** Credit goes back in steps of this many frames: a quarter of what the server grants at the start. */
const creditStep = 16;

type State =
	| { kind: "asking-token" }
	| { kind: "opening"; socket: Socket }
	| { kind: "open"; socket: Socket }
	| { kind: "waiting"; timer: ReturnType<typeof setTimeout> }
	| { kind: "closed" };

export function openStream(options: StreamOptions): Feed {
	return new Stream(options);
}

class Stream implements Feed {
	readonly #options: StreamOptions;
	readonly #backOff: BackOff;
	#state: State = { kind: "asking-token" };
	#cursor: string;
	#reports = false;
	#hold = true;
	#failures = 0;
	#handled = 0;

	constructor(options: StreamOptions) {
		this.#options = options;
		this.#backOff = options.backOff ?? { firstMs: 250, limitMs: 15_000 };
		this.#cursor = options.cursor ?? "0";
		void this.#open(false);
	}

	tellReports(tell: boolean): void {
		if (this.#reports === tell) return;
		this.#reports = tell;
		if (this.#state.kind === "open") this.#subscribe(this.#state.socket);
	}

	holdProcess(hold: boolean): void {
		this.#hold = hold;
		if (this.#state.kind === "opening" || this.#state.kind === "open") this.#state.socket.holdProcess(hold);
		if (this.#state.kind === "waiting") holdTimer(this.#state.timer, hold);
	}

	close(): void {
		this.#move({ kind: "closed" });
	}

	/** Leaves the present state, ending what it owns, for the next. */
	#move(next: State): void {
		const { kind } = this.#state;
		if (kind === "closed") return;
		if (this.#state.kind === "waiting") clearTimeout(this.#state.timer);
		if (this.#state.kind === "opening" || this.#state.kind === "open") {
			const keeps = (next.kind === "opening" || next.kind === "open") && next.socket === this.#state.socket;
			if (!keeps) this.#state.socket.close();
		}
		this.#state = next;
	}

	async #open(forceRefresh: boolean): Promise<void> {
		this.#move({ kind: "asking-token" });
		let token: string;
		try {
			token = await this.#options.accessToken(forceRefresh ? { forceRefresh } : undefined);
		} catch (error) {
			return this.#again(`no token: ${(error as Error).message}`);
		}
		if (this.#state.kind !== "asking-token") return;
		const url = `${this.#options.cloudUrl.replace(/^http/, "ws")}/v1/stream`;
		const socket: Socket = platform.openSocket(url, token, {
			onOpen: () => {
				if (!this.#owns(socket)) return;
				this.#handled = 0;
				this.#move({ kind: "open", socket });
				this.#subscribe(socket);
			},
			onText: (text) => {
				if (this.#owns(socket)) this.#handle(socket, text);
			},
			onClose: (code, reason) => {
				if (this.#owns(socket)) this.#closed(code, reason);
			},
		});
		this.#move({ kind: "opening", socket });
		socket.holdProcess(this.#hold);
	}

	#owns(socket: Socket): boolean {
		return (this.#state.kind === "opening" || this.#state.kind === "open") && this.#state.socket === socket;
	}

	#subscribe(socket: Socket): void {
		this.#send(socket, {
			type: "subscribe",
			group: this.#options.group,
			cursor: this.#cursor,
			also: this.#reports ? ["state", "output", "progress"] : [],
		});
	}

	#send(socket: Socket, request: StreamRequest): void {
		socket.send(JSON.stringify(request));
	}

	#handle(socket: Socket, text: string): void {
		let frame: StreamFrame;
		try {
			frame = JSON.parse(text) as StreamFrame;
		} catch {
			this.#options.log.warn({ bytes: text.length }, "a frame of the stream is not JSON");
			return;
		}
		const { listener } = this.#options;
		switch (frame.type) {
			case "subscribed":
				this.#failures = 0;
				this.#options.onFlow?.(true, 0);
				// What was reported before this subscription is known to REST only.
				if (this.#reports) listener.onReportsMissed();
				break;
			case "results":
				listener.onResults(frame.results);
				this.#cursor = frame.cursor;
				this.#credit(socket);
				break;
			case "state":
			case "output":
			case "progress":
				listener.onReport(frame);
				break;
			case "dropped":
				listener.onReportsMissed();
				break;
			case "token-expiring":
				void this.#renewToken(socket);
				break;
			case "error":
				this.#complained(frame.code, frame.detail);
				break;
			default:
				// A newer cloud may say more than this version knows.
				break;
		}
	}

	#credit(socket: Socket): void {
		this.#handled++;
		if (this.#handled < creditStep) return;
		this.#send(socket, { type: "credit", frames: this.#handled });
		this.#handled = 0;
	}

	async #renewToken(socket: Socket): Promise<void> {
		try {
			const access_token = await this.#options.accessToken({ forceRefresh: true });
			if (this.#owns(socket)) this.#send(socket, { type: "token", access_token });
		} catch (error) {
			// The connection ends with its token; the next attempt asks again.
			this.#options.log.warn({ reason: (error as Error).message }, "the stream's token cannot be renewed yet");
		}
	}

	/** Something that may be otherwise later is tried again; anything else ends the feed. */
	#complained(code: string, detail: string): void {
		const row = isFaultCode(code) ? faults[code] : undefined;
		if (row?.httpStatus === 401) this.#again(detail, true);
		else if (row?.retry === true) this.#again(detail);
		else this.#refused(code, detail);
	}

	#refused(code: string, detail: string): void {
		const known = isFaultCode(code) ? code : "INTERNAL_ERROR";
		this.#options.log.error({ code, detail }, "the stream was refused");
		this.close();
		this.#options.listener.onRefused(new CloudError(known, detail, { httpStatus: 0 }));
	}

	#closed(code: number, reason: string): void {
		if (code === streamClose.forbidden) {
			this.#refused("FORBIDDEN", reason || "the stream is forbidden");
			return;
		}
		if (code === streamClose.unauthenticated && this.#failures === 0) {
			this.#failures++;
			void this.#open(true);
			return;
		}
		this.#again(reason === "" ? `closed with ${code}` : reason, code === streamClose.unauthenticated);
	}

	#again(reason: string, forceRefresh = false): void {
		if (this.#state.kind === "closed") return;
		this.#failures++;
		const waitMs = waitBeforeMs(this.#backOff, this.#failures);
		const { group, log, onFlow } = this.#options;
		log.warn(
			{ group, reason, failures: this.#failures, waitMs: Math.round(waitMs) },
			"waiting to open the stream again",
		);
		const timer = setTimeout(() => void this.#open(forceRefresh), waitMs);
		holdTimer(timer, this.#hold);
		this.#move({ kind: "waiting", timer });
		onFlow?.(false, this.#failures);
	}
}

/** In Node a timer may let the process end; in a browser it is a number. */
export function holdTimer(timer: ReturnType<typeof setTimeout> | number, hold: boolean): void {
	if (typeof timer === "number") return;
	if (hold) timer.ref();
	else timer.unref();
}
