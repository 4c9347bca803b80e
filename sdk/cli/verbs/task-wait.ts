import { isFinal } from "@errand/proto";
import { taskSummary } from "@errand/proto/rest";
import * as z from "zod";
import { Complaint } from "../complaint.ts";
import { durationMs } from "../input.ts";
import { stateColours } from "../screen.ts";
import { selectTasks } from "../selector.ts";
import { summaryOf } from "../task-summary.ts";
import { verb } from "../verb.ts";
import { WaitingNotes } from "../waiting-notes.ts";

export const taskWait = verb({
	name: "task wait",
	summary: "Wait until tasks have ended",
	arguments: [{ name: "tasks", takes: "many", summary: "ids, their first characters, or last", completes: "task" }],
	options: [{ flags: "-t, --timeout <duration>", summary: "give up after this long (exit status 6); the tasks go on" }],
	examples: [
		[
			"errand task wait last --timeout 10m",
			"exit status 0 when it succeeded, 1 when it failed, 8 when it was cancelled",
		],
	],
	input: z.object({ tasks: z.array(z.string()).min(1), timeout: durationMs.optional() }),
	output: taskSummary,
	json: "lines",
	show: (task, screen) =>
		screen.line(
			`${task.id}  ${screen.style(stateColours[task.state], task.state)}${task.failure ? `  ${task.failure.message}` : ""}`,
		),
	ids: (task) => [task.id],
	exit: (task) => (task.state === "success" ? undefined : task.state === "cancelled" ? "cancelled" : "failed"),
	async *run(context, { tasks, timeout }) {
		const client = await context.client();
		const waiting = new Set(await selectTasks(context, client, tasks));
		const deadline = timeout === undefined ? Number.POSITIVE_INFINITY : context.now() + timeout;
		const notes = new WaitingNotes(context, client);
		let pauseMs = 50;
		for (;;) {
			for (const id of waiting) {
				const task = await client.getTask(id);
				if (!isFinal(task.state)) {
					await notes.look(task);
					continue;
				}
				waiting.delete(id);
				pauseMs = 50;
				yield summaryOf(task);
			}
			if (waiting.size === 0) return;
			if (context.now() >= deadline)
				throw new Complaint(
					"timeout",
					`${waiting.size} of the tasks had not ended in time: ${[...waiting].join(", ")}`,
					{
						next: `errand task show ${[...waiting][0]}`,
					},
				);
			await context.pause(Math.min(pauseMs, deadline - context.now()));
			pauseMs = Math.min(pauseMs * 1.5, 2000);
		}
	},
});
