/** What the interchange asks of the world. Whoever calls it carries them out, in order. */
import type { TaskId, TaskState } from "@errand/proto";
import type { Result } from "@errand/proto/wire";
import type { DispatchedTask } from "./held-task.ts";

export type Reaction =
	/** Hand these tasks to the manager, each as it is to be run: with the resources chosen and the hosts it runs over. */
	| { readonly kind: "dispatch"; readonly managerId: string; readonly tasks: readonly DispatchedTask[] }
	/** Ask the manager to stop these. */
	| {
			readonly kind: "cancel";
			readonly managerId: string;
			readonly taskIds: readonly TaskId[];
			readonly graceMs: number;
	  }
	/** A task has ended: record and publish; then acknowledge it to the manager, if it came from one. */
	| { readonly kind: "result"; readonly id: TaskId; readonly result: Result; readonly managerId: string | undefined }
	/** A result that needs no record because it is known already: acknowledge it after its first copy is recorded. */
	| { readonly kind: "acknowledge"; readonly managerId: string; readonly id: TaskId }
	/** A result that is not the task's end, for the task is run again: acknowledge it before that. */
	| { readonly kind: "forget"; readonly managerId: string; readonly id: TaskId }
	/** The machine under a task that will be tried again has died: so often altogether. To be remembered. */
	| {
			readonly kind: "lost";
			readonly id: TaskId;
			readonly losses: { readonly all: number; readonly whileRunning: number };
	  }
	/** A task has moved on or back; to be told when it stays there for a while. */
	| { readonly kind: "state"; readonly id: TaskId; readonly state: TaskState; readonly reason: string }
	/** The manager is to take nothing new, finish and end. */
	| { readonly kind: "drain"; readonly managerId: string; readonly reason: string };
