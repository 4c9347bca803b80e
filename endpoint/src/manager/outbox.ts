/** What the daemon must hear: results until it acknowledges them, reports as long as there is room. */
import { batchLimitBytes, batchLimitTasks } from "@errand/proto/limits";
import {
	create,
	type ManagerMessage,
	ManagerMessageSchema,
	type Report,
	ReportBatchSchema,
	type Result,
	ResultBatchSchema,
} from "@errand/proto/wire";
import { keyOf } from "./held-task.ts";

/** Reports wait for a daemon up to this size; then the oldest go. Results always wait. */
const reportLimitBytes = 4 * 1024 * 1024;

/** The way to the daemon; false from `write` means: full, `drained` will be called. */
export interface OutboxSink {
	write(message: ManagerMessage): boolean;
}

export class Outbox {
	/** Not acknowledged, oldest first. */
	readonly #results = new Map<string, Result>();
	#unsent: Result[] = [];
	#reports: Report[] = [];
	#reportBytes = 0;
	#sink: OutboxSink | undefined;
	#full = false;
	#scheduled = false;

	get unacknowledged(): Uint8Array[] {
		return [...this.#results.values()].map((result) => result.taskId);
	}

	has(taskId: Uint8Array): boolean {
		return this.#results.has(keyOf(taskId));
	}

	addResult(result: Result): void {
		this.#results.set(keyOf(result.taskId), result);
		this.#unsent.push(result);
		this.#schedule();
	}

	addReport(report: Report): void {
		this.#reports.push(report);
		this.#reportBytes += sizeOf(report);
		while (this.#reportBytes > reportLimitBytes) this.#reportBytes -= sizeOf(this.#reports.shift() as Report);
		this.#schedule();
	}

	/** These are in the daemon's journal, or it does not want them. */
	forget(taskIds: readonly Uint8Array[]): void {
		for (const id of taskIds) this.#results.delete(keyOf(id));
	}

	/** A daemon is there: everything that it has not acknowledged is sent again. */
	attach(sink: OutboxSink): void {
		this.#sink = sink;
		this.#full = false;
		this.#unsent = [...this.#results.values()];
		this.#schedule();
	}

	detach(): void {
		this.#sink = undefined;
	}

	/** The sink takes more. */
	drained(): void {
		this.#full = false;
		this.#schedule();
	}

	/** One flush a turn of the loop: what arrives meanwhile joins it. */
	#schedule(): void {
		if (this.#scheduled || this.#full || this.#sink === undefined) return;
		this.#scheduled = true;
		setImmediate(() => {
			this.#scheduled = false;
			this.#flush();
		});
	}

	#flush(): void {
		// Reports first: what a task printed is known before it has ended.
		while (this.#sink !== undefined && !this.#full && this.#reports.length > 0) {
			const reports = cut(this.#reports, sizeOf);
			for (const report of reports) this.#reportBytes -= sizeOf(report);
			const value = create(ReportBatchSchema, { reports });
			this.#write(create(ManagerMessageSchema, { message: { case: "reports", value } }));
		}
		while (this.#sink !== undefined && !this.#full && this.#unsent.length > 0) {
			const results = cut(this.#unsent, resultSize).filter((result) => this.has(result.taskId)); // else forgotten meanwhile
			if (results.length === 0) continue;
			const value = create(ResultBatchSchema, { results });
			this.#write(create(ManagerMessageSchema, { message: { case: "results", value } }));
		}
	}

	#write(message: ManagerMessage): void {
		if (this.#sink?.write(message) === false) this.#full = true;
	}
}

/** Removes from the front what fits one message; at least one. */
function cut<T>(items: T[], size: (item: T) => number): T[] {
	let bytes = 0;
	let count = 0;
	while (count < items.length && count < batchLimitTasks) {
		bytes += size(items[count] as T);
		if (count > 0 && bytes > batchLimitBytes) break;
		count++;
	}
	return items.splice(0, count);
}

const overheadBytes = 128;

function sizeOf(report: Report): number {
	return overheadBytes + (report.event.case === "output" ? report.event.value.data.length : 0);
}

function resultSize(result: Result): number {
	return overheadBytes + (result.outcome.case === "value" ? result.outcome.value.length : 0);
}
