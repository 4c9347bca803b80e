/** What the cloud is told of one transfer: soon, in order, again until it has taken it. */
import { randomUUID } from "node:crypto";
import { isTransferOver, reportLimitFiles, type TransferStatus } from "@errand/proto";
import {
	noTransferCounters,
	type TransferCounters,
	type TransferEventCode,
	type TransferReport,
} from "@errand/proto/rest";
import type { Logger } from "../service/logger.ts";
import { BackOff, pause } from "../uplink/back-off.ts";
import type { FileResult } from "./pull-journal.ts";

/** Reports come at most this often … */
const leastMs = 500;
/** … and a progress event at most this often, when there is at least this part of progress. */
const progressMs = 5_000;
const progressPart = 0.05;
const eventsPerReport = 100;
/** The same trouble is told once in this time; each is counted. */
const sameTroubleMs = 10_000;

export type SendReport = (report: Omit<TransferReport, "write_token">) => Promise<TransferStatus>;
export type Outcome = NonNullable<TransferReport["outcome"]>;

export class Reporter {
	readonly counters: TransferCounters = { ...noTransferCounters };
	readonly #send: SendReport;
	readonly #log: Logger;
	readonly #signal: AbortSignal;
	#events: NonNullable<TransferReport["events"]> = [];
	#files: FileResult[] = [];
	#directFailed: string | undefined;
	#dirty = false;
	#outcome: Outcome | undefined;
	#wake: () => void = () => undefined;
	readonly #toldAtMs = new Map<string, number>();
	#progressAtMs = Date.now();
	#progressBytes = 0;
	readonly #running: Promise<void>;

	constructor(send: SendReport, signal: AbortSignal, log: Logger) {
		this.#send = send;
		this.#signal = signal;
		this.#log = log;
		this.#running = this.#run();
		// Whoever waits for the end is told by it.
		this.#running.catch(() => undefined);
	}

	event(code: TransferEventCode, description: string, options: { error?: boolean; details?: object } = {}): void {
		const isError = options.error ?? false;
		const nowMs = Date.now();
		if (isError && nowMs - (this.#toldAtMs.get(code) ?? 0) < sameTroubleMs) return;
		this.#toldAtMs.set(code, nowMs);
		this.#events.push({
			id: randomUUID(),
			code,
			is_error: isError,
			description: description.slice(0, 1000),
			details: { ...options.details },
			time: new Date(nowMs).toISOString(),
		});
		this.changed();
	}

	/** Something had to be done again, and why. */
	fault(code: TransferEventCode, description: string): void {
		this.counters.faults++;
		this.event(code, description, { error: true });
	}

	files(results: readonly FileResult[]): void {
		this.#files.push(...results);
		this.changed();
	}

	/** The counters have. */
	changed(): void {
		this.#dirty = true;
		this.#wake();
	}

	directFailed(why: string): void {
		this.#directFailed = why.slice(0, 500);
		this.changed();
	}

	/** Resolves when the cloud knows it is over. */
	async end(outcome: Outcome): Promise<void> {
		this.#outcome = outcome;
		this.changed();
		await this.#running;
	}

	async #run(): Promise<void> {
		const backOff = new BackOff(500, 20_000);
		for (;;) {
			if (!this.#dirty && this.#files.length === 0)
				await new Promise<void>((resolve, reject) => {
					this.#wake = resolve;
					this.#signal.addEventListener("abort", () => reject(this.#signal.reason as Error), { once: true });
				});
			this.#signal.throwIfAborted();
			this.#dirty = false;
			this.#progress();
			const events = this.#events.slice(0, eventsPerReport);
			const files = this.#files.slice(0, reportLimitFiles);
			const isLast = events.length === this.#events.length && files.length === this.#files.length;
			const outcome = isLast ? this.#outcome : undefined;
			const directFailed = this.#directFailed;
			try {
				const status = await this.#send({
					counters: { ...this.counters },
					events,
					files,
					...(outcome && { outcome }),
					...(directFailed !== undefined && { direct_failed: directFailed }),
				});
				this.#events.splice(0, events.length);
				this.#files.splice(0, files.length);
				if (this.#directFailed === directFailed) this.#directFailed = undefined;
				backOff.reset();
				if (outcome !== undefined || isTransferOver(status)) return;
				if (this.#events.length > 0 || this.#outcome !== undefined) this.#dirty = true;
				if (this.#outcome === undefined && this.#files.length < reportLimitFiles) await pause(leastMs, this.#signal);
			} catch (error) {
				this.#signal.throwIfAborted();
				const waitMs = backOff.nextMs();
				this.#log.warn({ err: error, waitMs: Math.round(waitMs) }, "transfer: a report was not taken; trying again");
				this.#dirty = true;
				await pause(waitMs, this.#signal);
			}
		}
	}

	#progress(): void {
		const { bytes, bytes_transferred: done, bytes_skipped: skipped } = this.counters;
		const nowMs = Date.now();
		if (nowMs - this.#progressAtMs < progressMs || done - this.#progressBytes < bytes * progressPart) return;
		this.#progressAtMs = nowMs;
		this.#progressBytes = done;
		this.event("PROGRESS", `${done + skipped} of ${bytes} bytes`, { details: this.counters });
	}
}
