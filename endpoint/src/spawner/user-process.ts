/** One user endpoint's process, whoever started it: what is known of it, its line to us, and its end. */
import { setTimeout as sleep } from "node:timers/promises";
import type { ChildLine } from "./child-line.ts";
import { type ChildPipe, lostPipe, openChildPipe } from "./child-pipe.ts";
import { type ChildRecord, type ChildRecords, lives } from "./child-record.ts";
import type { Ended } from "./launch.ts";

/** Between two looks at a process that an earlier manager started: its end is told to nobody. */
const lookEveryMs = 500;

export interface UserProcessEvents {
	line(line: ChildLine): void;
	nonsense(lines: number): void;
	/** After its last line. Status and signal are null for a process that another manager started. */
	ended(ended: Ended): void;
}

export class LivingProcess {
	#record: ChildRecord;
	readonly #records: ChildRecords;
	readonly #pipe: ChildPipe;
	readonly #over = Promise.withResolvers<void>();
	#let = false;

	private constructor(
		record: ChildRecord,
		records: ChildRecords,
		pipe: ChildPipe,
		ended: Promise<Ended>,
		events: UserProcessEvents,
	) {
		this.#record = record;
		this.#records = records;
		this.#pipe = pipe;
		void ended.then((how) => {
			if (this.#let) return;
			pipe.drain();
			pipe.remove();
			records.remove(record.user_endpoint_id);
			this.#over.resolve();
			events.ended(how);
		});
	}

	/** Just started; its record is written. */
	static begun(
		record: ChildRecord,
		records: ChildRecords,
		pipe: ChildPipe,
		ended: Promise<Ended>,
		events: UserProcessEvents,
	): LivingProcess {
		records.write(record);
		return new LivingProcess(record, records, pipe, ended, events);
	}

	/** Of an earlier manager. `unheard`: why its line cannot be read; another pipe would be none of the process's. */
	static adopted(
		record: ChildRecord,
		records: ChildRecords,
		events: UserProcessEvents,
	): { process: LivingProcess; unheard: unknown } {
		let pipe = lostPipe;
		let unheard: unknown;
		try {
			pipe = openChildPipe(records.pipePath(record.user_endpoint_id), false, events);
		} catch (error) {
			unheard = error;
		}
		return { process: new LivingProcess(record, records, pipe, untilGone(record), events), unheard };
	}

	get record(): ChildRecord {
		return this.#record;
	}

	/** Writes it down. */
	mark(news: Partial<Pick<ChildRecord, "rendered" | "running">>): void {
		this.#record = { ...this.#record, ...news };
		this.#records.write(this.#record);
	}

	signal(signal: "SIGTERM" | "SIGKILL"): void {
		// Looked at again each time: by now the number may be somebody else's.
		if (!lives(this.#record)) return;
		try {
			process.kill(this.#record.pid, signal);
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
		}
	}

	/** SIGTERM, and SIGKILL after the grace. Resolves when it has ended. */
	async end(graceMs: number): Promise<void> {
		this.signal("SIGTERM");
		const late = setTimeout(() => this.signal("SIGKILL"), graceMs);
		await this.#over.promise;
		clearTimeout(late);
	}

	/** It goes on without us. */
	letGo(): void {
		this.#let = true;
		this.#pipe.close();
	}
}

async function untilGone(record: ChildRecord): Promise<Ended> {
	while (lives(record)) await sleep(lookEveryMs, undefined, { ref: false });
	return { status: null, signal: null };
}
