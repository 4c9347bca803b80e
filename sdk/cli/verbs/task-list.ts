import { taskStates } from "@errand/proto";
import { taskSummary } from "@errand/proto/rest";
import * as z from "zod";
import { formatAge, formatDuration } from "../duration.ts";
import { instant, instantToDate, whole } from "../input.ts";
import { stateColours } from "../screen.ts";
import { allPages, collected, selectEndpoint, selectFunction } from "../selector.ts";
import { verb } from "../verb.ts";

export const taskList = verb({
	name: "task list",
	summary: "List your tasks, newest first",
	options: [
		{ flags: "-s, --state <states...>", summary: "only in these states", choices: taskStates },
		{ flags: "-e, --endpoint <endpoint>", summary: "only on this endpoint", completes: "endpoint" },
		{ flags: "-f, --function <function>", summary: "only of this function", completes: "function" },
		{ flags: "-g, --group <id>", summary: "only of this task group" },
		{ flags: "--since <time>", summary: "submitted after: 2026-01-31, or 2h for two hours ago" },
		{ flags: "--until <time>", summary: "submitted before" },
		{ flags: "-n, --limit <count>", summary: "at most this many (default 20)" },
	],
	examples: [
		["errand task list --state failed --since 1d", "what failed since yesterday"],
		["errand task cancel $(errand task list -q -s running -n 1000)", "ids only, for other commands"],
	],
	input: z.object({
		state: z.array(z.enum(taskStates)).optional(),
		endpoint: z.string().optional(),
		function: z.string().optional(),
		group: z.uuid("a task group is given by its whole id").optional(),
		since: instant.optional(),
		until: instant.optional(),
		limit: whole(1, 100_000).default(20),
	}),
	output: z.object({ tasks: z.array(taskSummary), now: z.iso.datetime() }),
	json: "document",
	show: ({ tasks, now }, screen) =>
		screen.table(
			tasks,
			[
				{ title: "task", cell: (task) => task.id.slice(0, 8) },
				{ title: "function", cell: (task) => task.function_name },
				{ title: "endpoint", cell: (task) => task.endpoint_name },
				{
					title: "state",
					cell: (task) =>
						screen.style(
							stateColours[task.state],
							task.cancel_requested && task.finished_at === null ? `${task.state}, cancelling` : task.state,
						),
				},
				{ title: "submitted", cell: (task) => formatAge(Date.parse(task.created_at), Date.parse(now)) },
				{
					title: "took",
					align: "right",
					cell: (task) =>
						task.finished_at ? formatDuration(Date.parse(task.finished_at) - Date.parse(task.created_at)) : "",
				},
				{
					title: "why",
					cell: (task) =>
						task.failure ? `${task.failure.name || task.failure.code}: ${task.failure.message}`.slice(0, 60) : "",
				},
			],
			"No tasks.",
		),
	ids: ({ tasks }) => tasks.map((task) => task.id),
	async *run(context, input) {
		const client = await context.client();
		const nowMs = context.now();
		const endpoint = input.endpoint === undefined ? undefined : await selectEndpoint(context, client, input.endpoint);
		const functionId = input.function === undefined ? undefined : await selectFunction(client, input.function);
		const filter = {
			limit: Math.min(input.limit, 1000),
			...(input.state && { states: input.state }),
			...(endpoint && { endpoint: endpoint.id }),
			...(functionId && { function: functionId }),
			...(input.group && { group: input.group }),
			...(input.since && { since: instantToDate(input.since, nowMs) }),
			...(input.until && { until: instantToDate(input.until, nowMs) }),
		};
		const tasks = await collected(allPages((cursor) => client.listTasks({ ...filter, ...cursor }), input.limit));
		yield { tasks, now: new Date(nowMs).toISOString() };
	},
});
