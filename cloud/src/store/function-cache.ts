/** Registered functions in memory: they never change, and every batch to an endpoint names some. */
import { Fault, type FunctionId, idToBytes } from "@errand/proto";
import { create, FunctionSchema, Runtime, type Function as WireFunction } from "@errand/proto/wire";
import { type FunctionRow, findFunctions } from "./functions.ts";
import type { Session } from "./pool.ts";

export interface CachedFunction {
	readonly row: FunctionRow;
	/** As batches carry it. */
	readonly wire: WireFunction;
	/** Of the code, in UTF-8. */
	readonly sizeBytes: number;
}

/** Code kept in memory; the least recently used goes first. */
const cacheLimitBytes = 64 * 1024 * 1024;
/** A function deleted through another cloud process is still taken for this long. */
const deletionLagMs = 5_000;

export class FunctionCache {
	readonly #session: Session;
	readonly #entries = new Map<FunctionId, CachedFunction & { livingAtMs: number }>();
	#sizeBytes = 0;

	constructor(session: Session) {
		this.#session = session;
	}

	/** Rejects with FUNCTION_NOT_FOUND naming the first id that is unknown or, for `living`, deleted. */
	async find(
		ids: readonly FunctionId[],
		which: "living" | "deleted too",
	): Promise<ReadonlyMap<FunctionId, CachedFunction>> {
		const found = new Map<FunctionId, CachedFunction>();
		const missing: FunctionId[] = [];
		for (const id of ids) {
			const entry = this.#entries.get(id);
			if (entry === undefined || (which === "living" && Date.now() - entry.livingAtMs > deletionLagMs))
				missing.push(id);
			else {
				this.#entries.delete(id);
				this.#entries.set(id, entry);
				found.set(id, entry);
			}
		}
		if (missing.length > 0) {
			const rows = await findFunctions(this.#session, missing, which);
			for (const row of rows) found.set(row.id, this.#keep(row, which === "living"));
		}
		const unknown = ids.find((id) => !found.has(id));
		if (unknown !== undefined)
			throw new Fault("FUNCTION_NOT_FOUND", `Function ${unknown} could not be resolved`, { args: [unknown] });
		return found;
	}

	forget(id: FunctionId): void {
		const entry = this.#entries.get(id);
		if (entry === undefined) return;
		this.#entries.delete(id);
		this.#sizeBytes -= entry.sizeBytes;
	}

	#keep(row: FunctionRow, living: boolean): CachedFunction {
		this.forget(row.id);
		const code = Buffer.from(row.code, "utf8");
		const wire = create(FunctionSchema, {
			id: idToBytes(row.id),
			runtime: row.runtime,
			code,
			name: row.name,
			...(row.runtime === Runtime.PYTHON && writerOf(row.metadata)),
		});
		const entry = { row, wire, sizeBytes: code.length, livingAtMs: living ? Date.now() : 0 };
		this.#entries.set(row.id, entry);
		this.#sizeBytes += entry.sizeBytes;
		for (const [id, oldest] of this.#entries) {
			if (this.#sizeBytes <= cacheLimitBytes || oldest === entry) break;
			this.forget(id);
		}
		return entry;
	}
}

function writerOf({ python_version: python, sdk_version: sdk }: FunctionRow["metadata"]): {
	pythonVersion: string;
	sdkVersion: string;
} {
	const word = (value: unknown): string => (typeof value === "string" ? value.slice(0, 64) : "");
	return { pythonVersion: word(python), sdkVersion: word(sdk) };
}
