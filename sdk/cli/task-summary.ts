import { type TaskDocument, type TaskSummary, taskSummary } from "@errand/proto/rest";

/** The row that `task list` would show for a task. */
export function summaryOf(task: TaskDocument): TaskSummary {
	return taskSummary.parse(task);
}
