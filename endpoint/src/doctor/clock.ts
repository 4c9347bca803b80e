/** This machine's clock against the cloud's: tokens and leases are good until a time of day. */
import { fault, ok, type Verdict, warning } from "./check.ts";

/** A Date header knows no parts of a second, and the answer took a while. */
const inexactMs = 1_500;
const noticeableMs = 30_000;
/** Access tokens last a few minutes: with more than that between the clocks none is ever valid. */
const fatalMs = 300_000;

/** How far the other clock is ahead, as far as can be told. */
export function skewMs(dateHeader: string, askedMs: number, answeredMs: number): number | undefined {
	const theirs = Date.parse(dateHeader);
	return Number.isNaN(theirs) ? undefined : theirs + 500 - (askedMs + answeredMs) / 2;
}

export function judgeClock(skew: number | undefined): Verdict {
	if (skew === undefined) return warning("the cloud does not say what time it is");
	const apart = Math.abs(skew);
	if (apart <= inexactMs) return ok("agrees with the cloud's");
	const says = `is ${(apart / 1000).toFixed(0)} s ${skew > 0 ? "behind" : "ahead of"} the cloud's`;
	const next = "set the clocks of this machine and of the cloud's, with NTP for example";
	if (apart > fatalMs) return fault(says, next);
	return apart > noticeableMs ? warning(says, next) : ok(says);
}

/** Asks for anything; only the time counts. Throws when nobody answers. */
export async function askClock(url: string, nowMs: () => number, timeoutMs: number): Promise<number | undefined> {
	const askedMs = nowMs();
	const response = await fetch(`${url}/v1/cloud`, { signal: AbortSignal.timeout(timeoutMs) });
	const answeredMs = nowMs();
	await response.body?.cancel();
	return skewMs(response.headers.get("date") ?? "", askedMs, answeredMs);
}
