/** When a Wait ends, and how long a repeat of a failed state is put off. */
import type { CatchRule, RetryRule, WaitTarget } from "./definition.ts";
import { FlowFailure, matchesError } from "./flow-failure.ts";
import { flowLimitSeconds } from "./flow-limits.ts";
import { kindOf } from "./json.ts";
import { formatPath, requirePath } from "./reference-path.ts";
import type { Scope } from "./scope.ts";
import { parseTimestamp } from "./timestamp.ts";

/** Milliseconds since 1970; in the past for a time that has been. Throws a {@link FlowFailure} for a path without such a value. */
export function waitEndMs(until: WaitTarget, scope: Scope, nowMs: number): number {
	switch (until.kind) {
		case "seconds":
			return nowMs + until.seconds * 1000;
		case "timestamp":
			return until.timestampMs;
		case "seconds-path": {
			const seconds = requirePath(until.path, scope);
			if (typeof seconds === "number" && seconds >= 0 && seconds <= flowLimitSeconds) return nowMs + seconds * 1000;
			throw unfit(until.path, `a number of seconds from 0 to ${flowLimitSeconds}`, seconds);
		}
		case "timestamp-path": {
			const timestamp = requirePath(until.path, scope);
			const ms = typeof timestamp === "string" ? parseTimestamp(timestamp) : undefined;
			if (ms !== undefined) return ms;
			throw unfit(until.path, "a time such as 2026-01-31T12:00:00Z", timestamp);
		}
	}
}

function unfit(path: Parameters<typeof formatPath>[0], wanted: string, found: unknown): FlowFailure {
	const is =
		typeof found === "string" || typeof found === "number" ? JSON.stringify(found).slice(0, 60) : kindOf(found);
	return new FlowFailure("States.Runtime", `${formatPath(path)} is to be ${wanted}, and is ${is}`);
}

/**
 * How long to wait before repeat number `repeat` (1: the first) of this rule, in milliseconds; undefined when it has had
 * its repeats. `random`: from 0 to 1, for jitter.
 */
export function retryDelayMs(rule: RetryRule, repeat: number, random: number): number | undefined {
	if (repeat > rule.maxAttempts) return undefined;
	const grown = rule.intervalMs * rule.backoffRate ** (repeat - 1);
	const delay = Math.min(grown, rule.maxDelayMs ?? flowLimitSeconds * 1000);
	return Math.round(rule.jitter === "FULL" ? delay * random : delay);
}

/** The first rule of `Catch` or `Retry` that names this error. */
export function ruleFor<Rule extends CatchRule | RetryRule>(rules: readonly Rule[], error: string): Rule | undefined {
	return rules.find(({ errorEquals }) => matchesError(errorEquals, error));
}
