/** What a user endpoint's process tells its manager, a line of JSON each. It is the user's process: nothing of it is believed about anybody else. */
import * as z from "zod";

const wordsLimitCharacters = 6_000;
/** A longer line is thrown away. */
export const lineLimitBytes = 16 * 1024;

const childLine = z.discriminatedUnion("says", [
	/** The template is filled in: from here on it is an ordinary daemon. */
	z.object({ says: z.literal("rendered") }),
	/** It is registered and takes tasks. */
	z.object({ says: z.literal("running") }),
	/** It ends before it runs; the words are for the submitter. */
	z.object({ says: z.literal("failed"), words: z.string().max(wordsLimitCharacters) }),
	/** It ends because it has had nothing to do. */
	z.object({ says: z.literal("idle") }),
	z.object({ says: z.literal("accepted"), task: z.uuid(), function: z.uuid() }),
	z.object({
		says: z.literal("started"),
		task: z.uuid(),
		function: z.uuid().optional(),
		at_ms: z.int().min(0).max(8.64e15).optional(),
	}),
	z.object({
		says: z.literal("ended"),
		task: z.uuid(),
		function: z.uuid().optional(),
		state: z.enum(["success", "failed", "cancelled"]),
	}),
	/** So many lines did not fit into its memory. */
	z.object({ says: z.literal("lost"), lines: z.int().min(1) }),
]);
export type ChildLine = z.output<typeof childLine>;

/** Undefined for what is no such line. */
export function parseChildLine(text: string): ChildLine | undefined {
	try {
		const read = childLine.safeParse(JSON.parse(text));
		return read.success ? read.data : undefined;
	} catch {
		return undefined;
	}
}

/** Inverse of {@link parseChildLine}, with the end of the line. */
export function formatChildLine(line: ChildLine): string {
	const bounded = line.says === "failed" ? { ...line, words: line.words.slice(0, wordsLimitCharacters) } : line;
	return `${JSON.stringify(bounded)}\n`;
}
