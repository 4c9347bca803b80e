import { cancelled } from "@errand/proto/rest";
import * as z from "zod";
import { selectTasks } from "../selector.ts";
import { verb } from "../verb.ts";

export const taskCancel = verb({
	name: "task cancel",
	summary: "Stop tasks: queued, dispatched or running",
	arguments: [{ name: "tasks", takes: "any", summary: "ids, their first characters, or last", completes: "task" }],
	options: [
		{ flags: "-g, --group <id>", summary: "all unfinished tasks of this task group" },
		{
			flags: "-e, --endpoint <endpoint>",
			summary: "all unfinished tasks on this endpoint of yours, also those of guests",
			completes: "endpoint",
		},
	],
	examples: [
		["errand task cancel last", "a running task gets SIGTERM, then SIGKILL"],
		["errand task cancel --group 0b2f8c0e-8a57-4a53-9d51-2f6f0a3f4d11", "the rest of a map"],
	],
	input: z
		.object({
			tasks: z.array(z.string()).default([]),
			group: z.uuid("a task group is given by its whole id").optional(),
			endpoint: z.string().optional(),
		})
		.refine(
			(input) => input.tasks.length > 0 || input.group !== undefined || input.endpoint !== undefined,
			"say which tasks, or a --group, or an --endpoint",
		),
	output: cancelled,
	json: "document",
	show: (outcome, screen) => {
		const say = (ids: readonly string[], words: string): void => {
			for (const id of ids.slice(0, 20)) screen.line(`${id}  ${words}`);
			if (ids.length > 20) screen.line(`… and ${ids.length - 20} more  ${words}`);
		};
		say(outcome.cancelled, screen.style("yellow", "cancelled"));
		say(outcome.requested, "the endpoint has been asked to stop it");
		say(outcome.finished, "had already ended");
		say(outcome.not_found, screen.style("red", "no such task"));
		if (Object.values(outcome).every((ids) => ids.length === 0)) screen.note("Nothing to cancel.");
	},
	ids: (outcome) => [...outcome.cancelled, ...outcome.requested],
	exit: (outcome) => (outcome.not_found.length > 0 ? "notFound" : undefined),
	async *run(context, { tasks, group, endpoint }) {
		const client = await context.client();
		const ids = await selectTasks(context, client, tasks);
		yield await client.cancelTasks({
			...(ids.length > 0 && { taskIds: ids }),
			...(group && { taskGroup: group }),
			...(endpoint !== undefined && { endpoint: (await client.getEndpoint(endpoint)).id }),
		});
	},
});
