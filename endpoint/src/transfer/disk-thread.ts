/** One of the disk threads: takes jobs, one after the other. */
import { parentPort } from "node:worker_threads";
import * as destination from "./destination-jobs.ts";
import type { JobAnswer, JobMessage } from "./disk-threads.ts";
import { faultOfSystem, plainFault } from "./file-fault.ts";
import * as source from "./source-jobs.ts";

const jobs: Readonly<Record<string, unknown>> = { ...source, ...destination };

export function serveDiskJobs(): void {
	parentPort?.on("message", ({ number, name, job }: JobMessage) => {
		let answer: JobAnswer;
		let bytes: Uint8Array<ArrayBuffer> | undefined;
		try {
			const run = jobs[name] as (job: object) => unknown;
			const value = run(job);
			bytes = (value as { bytes?: Uint8Array<ArrayBuffer> } | undefined)?.bytes;
			answer = { number, value };
		} catch (error) {
			answer = { number, fault: plainFault(faultOfSystem(error, (job as { path?: string }).path ?? "")) };
		}
		parentPort?.postMessage(answer, bytes === undefined ? [] : [bytes.buffer]);
	});
}
