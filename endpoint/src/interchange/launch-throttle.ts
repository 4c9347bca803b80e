/**
 * How often, and how many at once, programs are started over nodes of one queue (ENS-2): a launcher and the site's
 * network take only so many. In any second no more are allowed than said, whatever the times between the questions.
 */
import { counted } from "./amounts.ts";

export interface LaunchLimits {
	readonly maxLaunchesPerSecond?: number | undefined;
	readonly maxRunningLaunches?: number | undefined;
}

export class LaunchThrottle {
	readonly #maxRunning: number;
	/** So many in so long: below one a second the time is longer, above it fractions are dropped. */
	readonly #windowMs: number;
	readonly #windowLaunches: number;
	/** Times of the last launches, oldest first; as many as the window allows. */
	readonly #recentMs: number[] = [];
	#running = 0;

	constructor(limits: LaunchLimits) {
		const perSecond = limits.maxLaunchesPerSecond ?? Number.POSITIVE_INFINITY;
		this.#maxRunning = limits.maxRunningLaunches ?? Number.POSITIVE_INFINITY;
		this.#windowLaunches = Math.floor(Math.max(1, perSecond));
		this.#windowMs = Math.max(1000, 1000 / perSecond);
	}

	allows(nowMs: number): boolean {
		return this.#running < this.#maxRunning && this.#inWindow(nowMs) < this.#windowLaunches;
	}

	launched(nowMs: number): void {
		this.#running++;
		if (this.#windowLaunches === Number.POSITIVE_INFINITY) return;
		this.#inWindow(nowMs);
		this.#recentMs.push(nowMs);
	}

	ended(): void {
		this.#running--;
	}

	/** Why nothing may be launched now, for people; undefined when something may. */
	reason(nowMs: number): string | undefined {
		if (this.#running >= this.#maxRunning)
			return `${counted(this.#running, "launched program runs", "launched programs run")}, and max_running_launches is ${this.#maxRunning}`;
		const recent = this.#inWindow(nowMs);
		if (recent < this.#windowLaunches) return undefined;
		const perSecond = (this.#windowLaunches * 1000) / this.#windowMs;
		return `programs are launched no faster than max_launches_per_second (${Number(perSecond.toPrecision(3))})`;
	}

	#inWindow(nowMs: number): number {
		// A clock that was set back must not close the window for longer than it is.
		if ((this.#recentMs.at(-1) ?? nowMs) > nowMs) this.#recentMs.fill(nowMs);
		let old = 0;
		while (old < this.#recentMs.length && nowMs - (this.#recentMs[old] as number) >= this.#windowMs) old++;
		if (old > 0) this.#recentMs.splice(0, old);
		return this.#recentMs.length;
	}
}
