/**
 * Which command is the newest of each user endpoint. Each asking makes another key and ends the one before, so a command
 * that comes late, or a second time, with an earlier key would only end a process that is wanted.
 */
import { skewLimitMs } from "./start-request.ts";

/** Much longer than a broker keeps a command. */
const rememberedMs = 86_400_000;

interface Newest {
	readonly clientId: string;
	/** When that key was first told. */
	readonly sentAtMs: number;
}

export class NewestCommands {
	readonly #newest = new Map<string, Newest>();
	readonly #nowMs: () => number;

	constructor(nowMs: () => number) {
		this.#nowMs = nowMs;
	}

	/** Undefined when it is not known. */
	sentAtMs(userEndpointId: string): number | undefined {
		return this.#newest.get(userEndpointId)?.sentAtMs;
	}

	/** False for one with another key that was sent before the newest. One without a time, or of the future, is for others to refuse. */
	take(userEndpointId: string, clientId: string, sentAtMs: number | undefined): boolean {
		this.#forget();
		if (sentAtMs === undefined || sentAtMs - this.#nowMs() > skewLimitMs) return true;
		const newest = this.#newest.get(userEndpointId);
		// Repeats of the same key do not make it newer: the next key may have been told by a cloud with another clock.
		if (newest?.clientId === clientId) return true;
		if (newest !== undefined && sentAtMs < newest.sentAtMs) return false;
		this.#newest.set(userEndpointId, { clientId, sentAtMs });
		return true;
	}

	#forget(): void {
		for (const [id, { sentAtMs }] of this.#newest) if (this.#nowMs() - sentAtMs > rememberedMs) this.#newest.delete(id);
	}
}
