/** The word `last`: the task that this person submitted most recently. */
import { readFileSync } from "node:fs";
import { parseId, type TaskId } from "@errand/proto";
import { type Home, writePrivateFile } from "./home.ts";

/** Inverse of {@link recallTask}. */
export function rememberTask(home: Home, task: { id: string; group: string; cloudUrl: string }): void {
	writePrivateFile(
		home.lastTask,
		`${JSON.stringify({ task_id: task.id, task_group_id: task.group, cloud_url: task.cloudUrl })}\n`,
	);
}

/** Undefined when nothing was run yet, or when the last task belongs to another cloud. */
export function recallTask(home: Home, cloudUrl: string): TaskId | undefined {
	let text: string;
	try {
		text = readFileSync(home.lastTask, "utf8");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
		throw error;
	}
	const found = JSON.parse(text) as { task_id?: unknown; cloud_url?: unknown };
	if (found.cloud_url !== cloudUrl || typeof found.task_id !== "string") return undefined;
	return parseId<TaskId>(found.task_id);
}
