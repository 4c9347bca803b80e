/** How long each function's tasks take, as far as is known: quick to believe that they are long, slow that they are short. */
import type { FunctionId } from "@errand/proto";

const functionsRemembered = 10_000;
/** No task is free: without a floor the window of a no-op would have no end. */
const shortestMs = 0.02;

export class Durations {
	readonly #ms = new Map<FunctionId, number>();

	/** Infinity when nothing is known. */
	estimateMs(id: FunctionId): number {
		return this.#ms.get(id) ?? Number.POSITIVE_INFINITY;
	}

	learn(id: FunctionId, tookMs: number): void {
		const sample = Math.max(shortestMs, tookMs);
		const known = this.#ms.get(id);
		if (known === undefined && this.#ms.size >= functionsRemembered) {
			for (const oldest of this.#ms.keys()) {
				this.#ms.delete(oldest);
				break;
			}
		}
		this.#ms.set(id, known === undefined ? sample : known + (sample - known) * (sample > known ? 0.5 : 0.1));
	}
}
