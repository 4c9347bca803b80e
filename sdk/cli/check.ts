/** What a doctor finds: checks that say what is right, what is not, and what to do. */
import { statSync } from "node:fs";
import * as z from "zod";
import type { ExitName } from "./exit-code.ts";
import { type Screen, stateColours } from "./screen.ts";

export const check = z.object({
	name: z.string(),
	state: z.enum(["ok", "warning", "fault"]),
	/** What was found. */
	says: z.string(),
	/** What to do about it. */
	next: z.string().optional(),
});
export type Check = z.infer<typeof check>;

export const checks = z.object({ checks: z.array(check) });

export function showChecks({ checks: rows }: { checks: readonly Check[] }, screen: Screen): void {
	const widest = Math.max(...rows.map((row) => row.name.length));
	for (const row of rows) {
		screen.line(
			`${screen.style(stateColours[row.state], row.state.padEnd(7))}  ${row.name.padEnd(widest)}  ${row.says}`,
		);
		if (row.next && row.state !== "ok") screen.line(`${" ".repeat(widest + 11)}next: ${row.next}`);
	}
}

export function exitOfChecks({ checks: rows }: { checks: readonly Check[] }): ExitName | undefined {
	return rows.some((row) => row.state === "fault") ? "failed" : undefined;
}

export const failedChecks = ({ checks: rows }: { checks: readonly Check[] }): string[] =>
	rows.filter((row) => row.state !== "ok").map((row) => row.name);

/** Whether only its owner may open a file or directory. */
export function privacyCheck(name: string, path: string): Check {
	const mode = statSync(path, { throwIfNoEntry: false })?.mode;
	if (mode === undefined) return { name, state: "fault", says: `${path} is missing` };
	const others = mode & 0o077;
	if (others === 0) return { name, state: "ok", says: `${path} is private` };
	return {
		name,
		state: "fault",
		says: `${path} may be opened by others (mode ${(mode & 0o777).toString(8)})`,
		next: `chmod go= ${path}`,
	};
}

/** A check that is right when `look` returns and wrong, in the words of what it throws, otherwise. */
export async function tryCheck(name: string, look: () => Promise<string> | string, next?: string): Promise<Check> {
	try {
		return { name, state: "ok", says: await look() };
	} catch (error) {
		return {
			name,
			state: "fault",
			says: error instanceof Error ? error.message : String(error),
			...(next && { next }),
		};
	}
}
