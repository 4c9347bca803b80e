/** A finished task as the command line tells it. */
import { failure, type TaskDocument, taskState } from "@errand/proto/rest";
import * as z from "zod";
import type { Client } from "../src/index.ts";
import { fetchReference } from "../src/serialize/blobs.ts";
import { readResult } from "../src/serialize/result.ts";
import type { ExitName } from "./exit-code.ts";
import { toPlain } from "./plain-value.ts";
import type { Screen } from "./screen.ts";

export const taskResult = z.object({
	task_id: z.uuid(),
	state: taskState,
	/** The function's result as JSON; absent unless the state is `success`. */
	value: z.json().optional(),
	failure: failure.nullable(),
});
export type TaskResult = z.infer<typeof taskResult>;

export async function resultOf(client: Client, task: TaskDocument): Promise<TaskResult> {
	const base = { task_id: task.id, state: task.state, failure: task.failure };
	if (task.state !== "success") return base;
	const text = task.result_reference ? await fetchReference(client, task.result_reference) : task.result;
	return { ...base, value: text === undefined ? null : toPlain(readResult(text)) };
}

/** What a command left behind, when the result is one of a command. */
export function commandResultOf(value: unknown): { stdout: string; stderr: string; returncode: number } | undefined {
	if (typeof value !== "object" || value === null) return undefined;
	const { stdout, stderr, returncode, cmd } = value as Record<string, unknown>;
	if (
		typeof stdout !== "string" ||
		typeof stderr !== "string" ||
		typeof returncode !== "number" ||
		typeof cmd !== "string"
	)
		return undefined;
	return { stdout, stderr, returncode };
}

export function showResult(result: TaskResult, screen: Screen): void {
	if (result.state === "success") {
		const command = commandResultOf(result.value);
		if (command) {
			screen.out(withNewline(command.stdout));
			screen.err(withNewline(command.stderr));
		} else {
			screen.line(typeof result.value === "string" ? result.value : readableJson(result.value));
		}
		return;
	}
	showFailure(result, screen);
}

/** The remote error as it was thrown: name, message and stack, then where to look further. */
export function showFailure(result: TaskResult, screen: Screen): void {
	const { failure: why } = result;
	if (!why) {
		screen.note(`task ${result.task_id} is ${result.state}`);
		return;
	}
	const head = `${why.name || why.code}: ${why.message}`;
	screen.note(why.stack.includes(why.message) ? why.stack.trimEnd() : `${head}\n${why.stack}`.trimEnd());
	if (why.stderr_tail && !why.stack.includes(why.stderr_tail)) screen.note(why.stderr_tail.trimEnd());
	screen.note(`(task ${result.task_id} ${result.state}: ${why.code})`);
}

/** A command's own return code, else what the state says. */
export function exitOfResult(result: TaskResult): ExitName | number {
	if (result.state === "success") return commandResultOf(result.value)?.returncode ?? "ok";
	return result.state === "cancelled" ? "cancelled" : "failed";
}

const withNewline = (text: string): string => (text === "" || text.endsWith("\n") ? text : `${text}\n`);

/** On one line when it fits a terminal. */
function readableJson(value: unknown): string {
	const line = JSON.stringify(value);
	return line.length <= 100 ? line : JSON.stringify(value, null, 2);
}
