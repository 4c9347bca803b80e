/** The batch script of a block: the scheduler's header, then what is the same everywhere. Text in, text out. */
import type { LauncherName } from "../config/queue.ts";
import { launchText } from "../launcher/launcher.ts";
import { type BlockSpec, SubmitRejected } from "./scheduler.ts";
import { shellWord } from "./shell-word.ts";

/**
 * Throws {@link SubmitRejected} when a name in the header would end its line: what follows would be read by a shell.
 *
 * @param header lines of the scheduler's own directives, without an end of line
 * @param natural what `launcher: auto` means here: a launcher, or the last lines for one of the scheduler's own
 * @param last directives that no line of `schedulerOptions` may change, for schedulers where the last one counts
 */
export function batchScript(
	spec: BlockSpec,
	header: readonly string[],
	natural: Exclude<LauncherName, "auto"> | ((spec: BlockSpec) => string),
	last: readonly string[] = [],
): string {
	for (const line of [...header, ...last])
		if (/[\n\r\0]/.test(line))
			throw new SubmitRejected(
				`a setting holds a line break, which the scheduler's options cannot: ${line.slice(0, 200)}`,
			);
	const { queue } = spec;
	const exports = Object.entries(spec.environment).map(([name, value]) => `export ${name}=${shellWord(value)}`);
	const end =
		queue.walltimeMs === undefined
			? []
			: [`export ERRAND_BLOCK_ENDS_AT_MS=$(( ($(date +%s) + ${Math.floor(queue.walltimeMs / 1000)}) * 1000 ))`];
	const own = queue.schedulerOptions.split("\n").filter((line) => line.trim() !== "");
	const launcher = queue.launcher === "auto" ? natural : queue.launcher;
	const launch = typeof launcher === "function" ? launcher(spec) : launchText(launcher, spec);
	const lines = [
		"#!/bin/bash",
		...header,
		...own,
		...last,
		"",
		...end,
		...exports,
		...(spec.workerInit.trim() === "" ? [] : [spec.workerInit.trimEnd()]),
		launch,
	];
	return `${lines.join("\n")}\n`;
}
