import { explanation } from "@errand/proto/rest";
import * as z from "zod";
import { explanationPairs } from "../explanation-view.ts";
import { stateColours } from "../screen.ts";
import { selectTask } from "../selector.ts";
import { verb } from "../verb.ts";

export const taskExplain = verb({
	name: "task explain",
	summary: "Say why a task is not running: one word and one sentence",
	arguments: [{ name: "task", summary: "id, its first characters, or last", completes: "task" }],
	examples: [["errand task explain last", "block-pending  12 blocks are queued at the scheduler, which says Priority"]],
	input: z.object({ task: z.string() }),
	output: explanation,
	json: "document",
	show: (told, screen) =>
		screen.pairs([
			["task", told.task_id],
			["state", screen.style(stateColours[told.state], told.state)],
			...explanationPairs(told, screen),
			["since", told.since],
			["endpoint", `${told.endpoint_name} (${told.endpoint_id})`],
			["heard of it", told.endpoint_seen_at ?? "never"],
		]),
	ids: (told) => [told.task_id],
	async *run(context, { task }) {
		const client = await context.client();
		yield await client.explainTask(await selectTask(context, client, task));
	},
});
