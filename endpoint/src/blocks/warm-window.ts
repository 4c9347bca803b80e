/** Times of the week in which blocks are kept although nothing waits. */
import type { WarmWindow } from "../config/queue.ts";

const days = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"] as const;

/**
 * How many blocks are to be kept now. Windows are local time as the wall clock shows it: on the day on which the clocks
 * change, 08:00 is when the clock says 08:00.
 */
export function warmBlocks(windows: readonly WarmWindow[], at: Date): number {
	const day = days[at.getDay()] as (typeof days)[number];
	const time = `${String(at.getHours()).padStart(2, "0")}:${String(at.getMinutes()).padStart(2, "0")}`;
	return windows
		.filter((window) => window.days.includes(day) && window.from <= time && time < window.to)
		.reduce((most, { blocks }) => Math.max(most, blocks), 0);
}
