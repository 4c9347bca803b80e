/**
 * Which versions of Python, dill and the public interface's SDK the workers had: told to the cloud, which compares them
 * with a submitter's. What the run before has seen counts until a worker of this one has said something.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Result } from "@errand/proto/wire";
import * as z from "zod";

/** Kinds of workers that are told apart; the one seen longest ago goes first. */
const kindLimit = 8;
const stored = z.array(z.string().max(256)).max(kindLimit);

export class WorkerRuntimes {
	readonly #file: string;
	#seen: string[];
	#isFromBefore = true;

	constructor(directory: string) {
		this.#file = join(directory, "worker-runtimes.json");
		this.#seen = readStored(this.#file);
	}

	/** As workers say it, the newest last. */
	get seen(): readonly string[] {
		return this.#seen;
	}

	/** Whether there is something new to tell. */
	note(results: Iterable<Result>): boolean {
		let isNew = false;
		for (const { execution } of results) {
			const text = execution?.runtimeVersion ?? "";
			if (!text.startsWith("Python ") || text === this.#seen.at(-1)) continue;
			if (this.#isFromBefore) this.#seen = [];
			this.#isFromBefore = false;
			this.#seen = [...this.#seen.filter((one) => one !== text), text.slice(0, 256)].slice(-kindLimit);
			isNew = true;
		}
		if (isNew) this.#store();
		return isNew;
	}

	/** Nothing hangs on it: where it cannot be written, the next run begins without. */
	#store(): void {
		try {
			writeFileSync(`${this.#file}.new`, JSON.stringify(this.#seen), { mode: 0o600 });
			renameSync(`${this.#file}.new`, this.#file);
		} catch {}
	}
}

function readStored(file: string): string[] {
	try {
		return stored.parse(JSON.parse(readFileSync(file, "utf8")));
	} catch {
		return [];
	}
}
