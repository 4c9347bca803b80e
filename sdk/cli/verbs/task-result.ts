import { isFinal } from "@errand/proto";
import * as z from "zod";
import { Complaint } from "../complaint.ts";
import { selectTask } from "../selector.ts";
import { exitOfResult, resultOf, showResult, taskResult as taskResultDocument } from "../task-result.ts";
import { verb } from "../verb.ts";

export const taskResult = verb({
	name: "task result",
	summary: "Print what a task returned",
	arguments: [{ name: "task", summary: "id, its first characters, or last", completes: "task" }],
	examples: [
		["errand task result last", "the value; a command's stdout and stderr; or the remote error, with exit status 1"],
		["errand task result 4f2a --json | jq .value", "for other programs"],
	],
	input: z.object({ task: z.string() }),
	output: taskResultDocument,
	json: "document",
	show: showResult,
	ids: (result) => [result.task_id],
	exit: exitOfResult,
	async *run(context, { task }) {
		const client = await context.client();
		const document = await client.getTask(await selectTask(context, client, task));
		if (!isFinal(document.state))
			throw new Complaint("conflict", `task ${document.id} has not ended: it is ${document.state}`, {
				next: `errand task wait ${document.id}`,
			});
		yield await resultOf(client, document);
	},
});
