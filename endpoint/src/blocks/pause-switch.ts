/** Whether blocks may be asked for: the guard and people switch it off, people switch it on. */
import type { Logger } from "../service/logger.ts";
import { type Pause, readPause, writePause } from "./pause-file.ts";

const lookEveryMs = 1_000;

export interface PauseSwitchOptions {
	/** The endpoint's. */
	readonly directory: string;
	/** Somebody has switched it: `paused` is already what it is now. */
	readonly switched: (pause: Pause | undefined) => void;
	readonly log: Logger;
}

export class PauseSwitch {
	readonly #options: PauseSwitchOptions;
	#pause: Pause | undefined;
	#lookedMs = Number.NEGATIVE_INFINITY;
	#busy = false;
	/** Could not be written: it holds until the daemon ends. */
	#onlyHere = false;

	private constructor(options: PauseSwitchOptions, pause: Pause | undefined) {
		this.#options = options;
		this.#pause = pause;
	}

	static async open(options: PauseSwitchOptions): Promise<PauseSwitch> {
		return new PauseSwitch(options, await readPause(options.directory));
	}

	get pause(): Pause | undefined {
		return this.#pause;
	}

	/** Looks at the file now and then. */
	tick(nowMs: number): void {
		if (this.#busy || this.#onlyHere || nowMs - this.#lookedMs < lookEveryMs) return;
		this.#lookedMs = nowMs;
		this.#busy = true;
		this.#look()
			.catch((error: unknown) => this.#options.log.warn({ err: error }, "blocks: the pause cannot be read"))
			.finally(() => {
				this.#busy = false;
			});
	}

	/** Switches off, over restarts too. */
	async set(pause: Pause): Promise<void> {
		const { directory, log } = this.#options;
		this.#pause = pause;
		this.#busy = true;
		try {
			await writePause(directory, pause);
		} catch (error) {
			this.#onlyHere = true;
			log.error({ err: error }, "blocks: the pause cannot be written; it lasts until this daemon ends");
		} finally {
			this.#busy = false;
		}
	}

	async #look(): Promise<void> {
		const now = await readPause(this.#options.directory);
		if (now?.reason === this.#pause?.reason && now?.since === this.#pause?.since) return;
		this.#pause = now;
		this.#options.switched(now);
	}
}
