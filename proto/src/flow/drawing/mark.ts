/** What a drawing may say of a state in a run. */
export type StateMark = "waiting" | "active" | "done" | "failed" | "skipped";

/** By the names of states; those without are drawn plainly. */
export type StateMarks = ReadonlyMap<string, StateMark>;

/** In a terminal, before the name. */
export const markSigns: Readonly<Record<StateMark, string>> = {
	waiting: "○",
	active: "●",
	done: "✓",
	failed: "✗",
	skipped: "–",
};
