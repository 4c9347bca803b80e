/** Doing again what may succeed later: connections come back, tokens are renewed, chunks are sent once more. */
import type { Logger } from "../service/logger.ts";
import { BackOff, pause } from "../uplink/back-off.ts";
import { FileFault } from "./file-fault.ts";
import type { Reporter } from "./reporter.ts";
import { ConnectionLost } from "./source.ts";

/** A chunk that comes damaged so often has another reason than the way. */
const damagedLimit = 10;
/** After so many direct connections that could not even be made, the cloud is asked for another way. */
const undialledLimit = 3;
const firstWaitMs = 200;
const longestWaitMs = 10_000;

export interface PersistenceOptions {
	readonly reporter: Pick<Reporter, "fault" | "directFailed">;
	/** Asks the cloud for newer tokens. */
	readonly renew: () => Promise<void>;
	readonly isDirect: () => boolean;
	readonly signal: AbortSignal;
	readonly log: Logger;
}

export class Persistence {
	readonly #options: PersistenceOptions;
	#undialled = 0;

	constructor(options: PersistenceOptions) {
		this.#options = options;
	}

	/** Until it succeeds, or fails by a FileFault that nothing helps against. `work` may be repeated. */
	async over<T>(work: () => Promise<T>): Promise<T> {
		const { signal } = this.#options;
		const backOff = new BackOff(firstWaitMs, longestWaitMs);
		for (let damaged = 0; ; ) {
			signal.throwIfAborted();
			try {
				const value = await work();
				this.#undialled = 0;
				return value;
			} catch (error) {
				signal.throwIfAborted();
				if (error instanceof FileFault) {
					if (error.code !== "CHECKSUM_MISMATCH" || ++damaged >= damagedLimit) throw error;
					this.#options.reporter.fault(error.code, error.message);
				} else if (error instanceof ConnectionLost) {
					await this.#lost(error, backOff);
				} else throw error;
			}
		}
	}

	async #lost(error: ConnectionLost, backOff: BackOff): Promise<void> {
		const { reporter, renew, isDirect, signal, log } = this.#options;
		const waitMs = backOff.nextMs();
		const level = error.notYet ? "debug" : "warn";
		log[level]({ reason: error.message, waitMs: Math.round(waitMs) }, "transfer: no answer of the source yet, waiting");
		if (!error.notYet) reporter.fault(error.tokenEnded ? "TOKEN_EXPIRED" : "CONNECTION_LOST", error.message);
		if (error.undialled && isDirect() && ++this.#undialled >= undialledLimit) {
			this.#undialled = 0;
			reporter.directFailed(error.message);
		}
		if (error.tokenEnded) await renew();
		await pause(waitMs, signal);
	}
}
