/** A scheduler in memory that does what a test says, and notes what is asked of it. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import {
	type BlockSpec,
	type JobId,
	type JobStatus,
	type Scheduler,
	SchedulerSilent,
	SubmitRejected,
} from "../scheduler/scheduler.ts";

export class ScriptedScheduler implements Scheduler {
	readonly name = "scripted";
	readonly capabilities = { multiNode: true, forgetsEnded: false, expectsStarts: true, dependencies: true };
	readonly jobs = new Map<JobId, { readonly spec: BlockSpec; status: JobStatus }>();
	readonly calls: { readonly what: "submit" | "poll" | "cancel" | "list"; readonly atMs: number }[] = [];
	/** It answers nothing, or this. */
	silence: Error | undefined;
	/** It answers when this is over. */
	slowness: Promise<void> | undefined;
	/** It has the job although it does not say so. */
	submitsSilently = false;
	/** Its words about every submission. */
	refusal: string | undefined;
	/** What a new job is at first. */
	first: JobStatus = { state: "pending", reason: "Priority" };
	/** More than one thing was asked at the same time. */
	overlapped = false;
	readonly #nowMs: () => number;
	readonly #listeners = new Set<(id: JobId, reason: string) => void>();
	#busy = false;
	#last = 0;

	constructor(nowMs: () => number) {
		this.#nowMs = nowMs;
	}

	count(what: string): number {
		return this.calls.filter((call) => call.what === what).length;
	}

	/** Job ids that have not ended. */
	get living(): JobId[] {
		return [...this.jobs].filter(([, { status }]) => status.state !== "ended").map(([id]) => id);
	}

	/** What it says of every job that has not ended, from now on. */
	tell(status: JobStatus, ids: readonly JobId[] = this.living): void {
		for (const id of ids) {
			const job = this.jobs.get(id);
			if (job) job.status = status;
		}
	}

	/** What a job of the block prints. */
	print(id: JobId, text: string): void {
		const path = this.jobs.get(id)?.spec.logPath ?? "";
		mkdirSync(dirname(path), { recursive: true });
		writeFileSync(path, text);
	}

	script(spec: BlockSpec): string {
		return `#!/bin/bash\nexport ERRAND_BLOCK_TOKEN='${spec.environment.ERRAND_BLOCK_TOKEN}'\n${spec.command.join(" ")}\n`;
	}

	submit(spec: BlockSpec): Promise<JobId> {
		return this.#answer("submit", () => {
			const before = [...this.jobs].find(([, job]) => job.spec.blockId === spec.blockId);
			if (before) return before[0];
			if (this.refusal !== undefined) throw new SubmitRejected(this.refusal);
			const id = String(++this.#last);
			this.jobs.set(id, { spec, status: this.first });
			return id;
		});
	}

	poll(ids: readonly JobId[]): Promise<Map<JobId, JobStatus>> {
		return this.#answer(
			"poll",
			() =>
				new Map(
					ids.map((id): [JobId, JobStatus] => [
						id,
						this.jobs.get(id)?.status ?? { state: "ended", end: "vanished", reason: "" },
					]),
				),
		);
	}

	cancel(ids: readonly JobId[]): Promise<void> {
		return this.#answer("cancel", () => this.tell({ state: "ended", end: "cancelled", reason: "" }, ids));
	}

	listOurs(): Promise<Map<string, JobId>> {
		return this.#answer(
			"list",
			() => new Map(this.living.map((id) => [this.jobs.get(id)?.spec.blockId as string, id])),
		);
	}

	onEnded(listener: (id: JobId, reason: string) => void): void {
		this.#listeners.add(listener);
	}

	close(): void {
		this.#listeners.clear();
	}

	async #answer<T>(what: ScriptedScheduler["calls"][number]["what"], answer: () => T): Promise<T> {
		this.overlapped ||= this.#busy;
		this.#busy = true;
		this.calls.push({ what, atMs: this.#nowMs() });
		await (this.slowness ?? new Promise((resolve) => setImmediate(resolve)));
		this.#busy = false;
		if (this.silence === undefined) return answer();
		if (this.submitsSilently && what === "submit") answer();
		throw this.silence;
	}
}

export const silent = (): SchedulerSilent => new SchedulerSilent("squeue did not answer within 30000 ms");
