/** What a running JavaScript function finds as `globalThis.errand`. */
import { create, WorkerReplySchema } from "@errand/proto/wire";
import type { ManagerChannel } from "./manager-channel.ts";
import type { TaskRunner } from "./run-task.ts";

interface TaskInterface {
	/** Empty outside a task. */
	readonly taskId: string;
	/** The directory of this task alone; the working directory when the function starts. Empty without sandboxes. */
	readonly sandboxDirectory: string;
	/** `fraction` from 0 to 1; values outside are cut, and what is no number is taken as 0. */
	progress(fraction: number, message?: string): void;
}

export function offerTaskInterface(runner: TaskRunner, channel: ManagerChannel): void {
	const errand: TaskInterface = {
		get taskId() {
			return runner.current?.id ?? "";
		},
		get sandboxDirectory() {
			return runner.current?.request.sandboxDirectory ?? "";
		},
		progress(fraction, message = "") {
			const task = runner.current;
			if (task === undefined || !runner.isRunning(task)) return;
			const progress = { fraction: Math.min(1, Math.max(0, Number(fraction) || 0)), message: String(message) };
			const value = { taskId: task.request.taskId, progress };
			channel.send(create(WorkerReplySchema, { message: { case: "progress", value } }));
		},
	};
	Object.defineProperty(globalThis, "errand", { value: Object.freeze(errand), configurable: true });
}
