/** Settings as the directives of batch scripts take them. */
import type { QueueConfig } from "../config/queue.ts";
import { SubmitRejected } from "./scheduler.ts";

/**
 * One word of a directive. Schedulers read quotes in directives, but no escapes: what cannot be quoted, or would begin a
 * new line of the script, is refused.
 */
export function directiveWord(setting: string, value: string): string {
	refuseLineEnds(setting, value);
	if (/^[\w@%+=:,./-]+$/.test(value)) return value;
	const quote = ['"', "'"].find((mark) => !value.includes(mark) && !(mark === '"' && /[$`\\]/.test(value)));
	if (quote === undefined)
		throw new SubmitRejected(`${setting} cannot be written into a batch script: ${JSON.stringify(value)}`);
	return `${quote}${value}${quote}`;
}

/** Text that goes into a directive as it is, because it is the scheduler's own language. */
export function directiveText(setting: string, value: string): string {
	refuseLineEnds(setting, value);
	return value;
}

function refuseLineEnds(setting: string, value: string): void {
	// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
	if (/[\u0000-\u001f\u007f]/.test(value))
		throw new SubmitRejected(`${setting} has a line end or another control character: ${JSON.stringify(value)}`);
}

/** "36:00:05": hours, minutes, seconds; rounded up to whole seconds. */
export function clockTime(ms: number): string {
	const seconds = Math.ceil(ms / 1000);
	const two = (n: number): string => String(n).padStart(2, "0");
	return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

/** Whole mebibytes, rounded up. */
export const mebibytes = (bytes: number): number => Math.ceil(bytes / 2 ** 20);

/** How many devices a node's ids name: "0.1" is a tile of device 0, "0,1" is two devices. */
export function gpuCount({ gpuIds }: Pick<QueueConfig, "gpuIds">): number {
	return new Set(gpuIds.flatMap((id) => id.split(",")).map((id) => id.replace(/\.\d+$/, ""))).size;
}

/** "afterok:12:13" → the word and the jobs; undefined when it is not of this form. */
export function parseDependency(text: string): { readonly when: string; readonly jobs: readonly string[] } | undefined {
	const [, when, jobs] = /^([a-z]+):([^\s,:][^\s,]*)$/.exec(text) ?? [];
	return when === undefined || jobs === undefined ? undefined : { when, jobs: jobs.split(":") };
}
