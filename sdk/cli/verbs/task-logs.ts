import type { TaskGroupId } from "@errand/proto";
import * as z from "zod";
import { followOutput, outputLine } from "../output-follower.ts";
import { selectTask } from "../selector.ts";
import { verb } from "../verb.ts";
import { WaitingNotes } from "../waiting-notes.ts";

export const taskLogs = verb({
	name: "task logs",
	summary: "Print what a task wrote to stdout and stderr",
	arguments: [{ name: "task", summary: "id, its first characters, or last", completes: "task" }],
	options: [
		{ flags: "-f, --follow", summary: "go on as it writes, until it ends" },
		{ flags: "--stream <stream>", summary: "only this one", choices: ["stdout", "stderr"] },
	],
	examples: [["errand task logs -f last", "watch a running task; its stderr comes on yours"]],
	input: z.object({
		task: z.string(),
		follow: z.boolean().default(false),
		stream: z.enum(["stdout", "stderr"]).optional(),
	}),
	output: outputLine,
	json: "lines",
	show: (line, screen) => {
		if (line.stream === "stdout") screen.out(line.data);
		else screen.err(line.data);
		if (line.truncated) screen.note(`(${line.stream} was cut here: the limit of kept output was reached)`);
	},
	ids: () => [],
	async *run(context, { task: text, follow, stream }) {
		const client = await context.client();
		const id = await selectTask(context, client, text);
		const task = follow ? await client.getTask(id) : undefined;
		const notes = new WaitingNotes(context, client);
		if (task) await notes.look(task);
		const watch = task && notes.watch(id);
		try {
			yield* followOutput(context, client, id, {
				...(task && { follow: task.group_id as TaskGroupId }),
				...(stream && { streams: [stream] }),
			});
		} finally {
			watch?.stop();
		}
	},
});
