/** Threads for what takes a processor or a disk: reading, writing, hashing. The main thread only moves bytes. */
import { Worker } from "node:worker_threads";
import type * as destination from "./destination-jobs.ts";
import { faultOfPlain, type PlainFault } from "./file-fault.ts";
import type * as source from "./source-jobs.ts";

type Jobs = typeof source & typeof destination;
type JobName = {
	[Name in keyof Jobs]: Jobs[Name] extends (job: never) => unknown ? Name : never;
}[keyof Jobs];
export type Work = {
	readonly [Name in JobName]: (...job: Parameters<Jobs[Name]>) => Promise<Awaited<ReturnType<Jobs[Name]>>>;
};

export interface JobMessage {
	readonly number: number;
	readonly name: string;
	readonly job: object;
}
export type JobAnswer =
	| { readonly number: number; readonly value: unknown }
	| { readonly number: number; readonly fault: PlainFault };

interface Pending {
	resolve(value: unknown): void;
	reject(error: Error): void;
}

export class DiskThreads {
	readonly #threads: { worker: Worker; pending: Map<number, Pending> }[];
	#numbers = 0;
	#closed = false;

	/** `program`: the file that runs {@link serveDiskJobs} when it is not the main thread. */
	constructor(program: string | URL, count: number) {
		this.#threads = Array.from({ length: count }, () => {
			const worker = new Worker(program, { stdout: false, stderr: false });
			const pending = new Map<number, Pending>();
			worker.on("message", (answer: JobAnswer) => {
				const waiting = pending.get(answer.number);
				pending.delete(answer.number);
				if ("fault" in answer) waiting?.reject(faultOfPlain(answer.fault));
				else waiting?.resolve(answer.value);
			});
			const lost = (error: Error): void => {
				for (const waiting of pending.values()) waiting.reject(error);
				pending.clear();
			};
			worker.on("error", (error: Error) => {
				lost(error);
				// A thread ends only by a fault of ours; the agent is started again and goes on from its journal.
				if (!this.#closed) throw error;
			});
			worker.on("exit", () => lost(new Error("the disk threads are stopping")));
			return { worker, pending };
		});
	}

	/** The jobs by name; each goes to the thread with the least to do. Buffers in a job are handed over. */
	readonly work: Work = new Proxy({} as Work, {
		get: (_target, name) => (job: object) => this.#run(String(name), job),
	});

	#run(name: string, job: object): Promise<unknown> {
		if (this.#closed) return Promise.reject(new Error("the disk threads are stopping"));
		const thread = this.#threads.reduce((best, one) => (one.pending.size < best.pending.size ? one : best));
		const number = ++this.#numbers;
		const { bytes } = job as { bytes?: Uint8Array<ArrayBuffer> };
		const message: JobMessage = { number, name, job };
		const answer = new Promise((resolve, reject) => thread.pending.set(number, { resolve, reject }));
		thread.worker.postMessage(message, bytes === undefined ? [] : [bytes.buffer]);
		return answer;
	}

	async close(): Promise<void> {
		this.#closed = true;
		await Promise.all(this.#threads.map(({ worker }) => worker.terminate()));
	}
}
