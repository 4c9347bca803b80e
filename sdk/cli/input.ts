/** Values as people type them, as zod types that say what is wrong in words. */
import * as z from "zod";
import { parseDuration } from "./duration.ts";
import { parseSize } from "./size.ts";

/** `30s`, `2h`; milliseconds. */
export const durationMs = z.string().transform((text, issues) => {
	const ms = parseDuration(text);
	if (ms !== undefined && ms > 0) return Math.round(ms);
	issues.addIssue({ code: "custom", message: `"${text}" is not a duration: write 500ms, 30s, 5m, 2h or 1d` });
	return z.NEVER;
});

/** `512M`, `4G`; bytes. */
export const sizeBytes = z.string().transform((text, issues) => {
	const bytes = parseSize(text);
	if (bytes !== undefined && bytes > 0) return bytes;
	issues.addIssue({ code: "custom", message: `"${text}" is not a size: write 512M, 4G or a number of bytes` });
	return z.NEVER;
});

/** A whole number within limits. */
export const whole = (least: number, most: number) =>
	z.string().transform((text, issues) => {
		const number = Number(text);
		if (/^-?\d+$/.test(text) && number >= least && number <= most) return number;
		issues.addIssue({ code: "custom", message: `"${text}" is not a whole number from ${least} to ${most}` });
		return z.NEVER;
	});

/** A count, or a part of one: 0.5. */
export const amount = z.string().transform((text, issues) => {
	const number = Number(text);
	if (/^\d*\.?\d+$/.test(text) && Number.isFinite(number)) return number;
	issues.addIssue({ code: "custom", message: `"${text}" is not an amount: write 2, or 0.5` });
	return z.NEVER;
});

/** `fpga=1`; a name alone is one of it. */
export const namedAmount = z.string().transform((text, issues): [name: string, amount: number] => {
	const [name = "", number = "1", ...more] = text.split("=");
	const read = amount.safeParse(number);
	if (/^[A-Za-z][\w-]*$/.test(name) && more.length === 0 && read.success && read.data > 0) return [name, read.data];
	issues.addIssue({ code: "custom", message: `"${text}" is not a resource and its amount: write fpga=1` });
	return z.NEVER;
});

/** A time as `2026-01-31`, `2026-01-31T12:00:00Z`, or how long ago: `2h`. */
export const instant = z.string().transform((text, issues) => {
	const agoMs = parseDuration(text);
	if (agoMs !== undefined && /[a-z]/i.test(text)) return { agoMs };
	const at = Date.parse(text);
	if (!Number.isNaN(at) && /^\d{4}-/.test(text)) return { at: new Date(at) };
	issues.addIssue({
		code: "custom",
		message: `"${text}" is not a time: write 2026-01-31, 2026-01-31T12:00:00Z, or 2h for two hours ago`,
	});
	return z.NEVER;
});

export function instantToDate(value: z.output<typeof instant>, nowMs: number): Date {
	return "at" in value ? value.at : new Date(nowMs - value.agoMs);
}
