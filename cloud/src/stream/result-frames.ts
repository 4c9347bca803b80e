import type { TaskGroupId } from "@errand/proto";
import type { StreamFrame, StreamResult } from "@errand/proto/rest";

/** A frame closes at this many results … */
const frameLimitResults = 100;
/** … or at about this many bytes; a single larger result goes alone. */
const frameLimitBytes = 256 * 1024;

/** What a result takes besides the texts that can be long. */
const resultOverheadBytes = 400;

/** A frame that is ready to be sent, and where the next one begins. */
export interface ResultFrame {
	readonly text: string;
	readonly cursor: bigint;
	readonly next: number;
}

function sizeOf(result: StreamResult): number {
	const failure = result.failure;
	const said = failure === undefined ? 0 : failure.stack.length + failure.message.length + failure.stderr_tail.length;
	return resultOverheadBytes + (result.value?.length ?? 0) + said;
}

/** Consecutive results of one group, cut into frames; a frame that several readers need is written once. */
export class ResultFrames {
	readonly #group: TaskGroupId;
	readonly #cursors: readonly bigint[];
	readonly #results: readonly StreamResult[];
	readonly #written = new Map<number, ResultFrame>();

	constructor(group: TaskGroupId, cursors: readonly bigint[], results: readonly StreamResult[]) {
		this.#group = group;
		this.#cursors = cursors;
		this.#results = results;
	}

	get length(): number {
		return this.#results.length;
	}

	/** The place of the first result after a cursor; `length` when there is none. */
	after(cursor: bigint): number {
		const place = this.#cursors.findIndex((own) => own > cursor);
		return place < 0 ? this.length : place;
	}

	/** The frame that begins at a place. */
	at(place: number): ResultFrame {
		const known = this.#written.get(place);
		if (known !== undefined) return known;
		let next = place;
		let size = 0;
		while (next < this.length && next - place < frameLimitResults) {
			size += sizeOf(this.#results[next] as StreamResult);
			if (size > frameLimitBytes && next > place) break;
			next++;
		}
		const cursor = this.#cursors[next - 1] as bigint;
		const frame: StreamFrame = {
			type: "results",
			group: this.#group,
			cursor: String(cursor),
			results: this.#results.slice(place, next),
		};
		const written = { text: JSON.stringify(frame), cursor, next };
		this.#written.set(place, written);
		return written;
	}
}
