import * as z from "zod";
import { rememberTask } from "../last-task.ts";
import { selectTasks } from "../selector.ts";
import { verb } from "../verb.ts";

export const taskRetry = verb({
	name: "task retry",
	summary: "Submit tasks again with the same function and arguments",
	arguments: [{ name: "tasks", takes: "many", summary: "ids, their first characters, or last", completes: "task" }],
	examples: [["errand task retry $(errand task list -q -s failed)", "everything that failed, once more"]],
	input: z.object({ tasks: z.array(z.string()).min(1) }),
	output: z.object({ task_id: z.uuid(), retry_of: z.uuid() }),
	json: "lines",
	show: (retry, screen) => screen.line(`${retry.task_id}  runs ${retry.retry_of} again`),
	ids: (retry) => [retry.task_id],
	async *run(context, { tasks }) {
		const client = await context.client();
		for (const id of await selectTasks(context, client, tasks)) {
			const { group_id: group } = await client.getTask(id);
			const again = await client.retryTask(id);
			rememberTask(context.home, { id: again, group, cloudUrl: client.cloudUrl });
			yield { task_id: again, retry_of: id };
		}
	},
});
