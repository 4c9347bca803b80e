import { isFinal } from "@errand/proto";
import { explanation, taskDocument } from "@errand/proto/rest";
import * as z from "zod";
import { formatDuration } from "../duration.ts";
import { explanationPairs } from "../explanation-view.ts";
import { stateColours } from "../screen.ts";
import { selectTask } from "../selector.ts";
import { formatSize } from "../size.ts";
import { verb } from "../verb.ts";

export const taskShow = verb({
	name: "task show",
	summary: "Show everything about a task",
	arguments: [{ name: "task", summary: "id, its first characters, or last", completes: "task" }],
	examples: [["errand task show last", "the task you submitted most recently"]],
	input: z.object({ task: z.string() }),
	output: taskDocument.extend({ explanation: explanation.nullable() }),
	json: "document",
	show: (task, screen) => {
		const run = task.execution;
		screen.pairs([
			["task", task.id],
			["group", task.group_id],
			["function", `${task.function_name} (${task.function_id})`],
			["endpoint", `${task.endpoint_name} (${task.endpoint_id})`],
			["state", screen.style(stateColours[task.state], task.state) + (task.cancel_requested ? ", asked to stop" : "")],
			...(task.explanation ? explanationPairs(task.explanation, screen) : []),
			["versions", task.explanation ? undefined : (task.version_skew ?? undefined)],
			["asks for", task.resources ? JSON.stringify(task.resources) : undefined],
			["retry of", task.retry_of ?? undefined],
			["ran on", run ? `${run.host}, worker process ${run.worker_pid}, ${run.runtime_version}` : undefined],
			["ran for", run ? formatDuration(run.finished_at_ms - run.started_at_ms) : undefined],
			["lost workers", run && run.losses > 0 ? String(run.losses) : undefined],
			["output", `${formatSize(task.stdout_bytes)} on stdout, ${formatSize(task.stderr_bytes)} on stderr`],
			[
				"history",
				task.transitions
					.map((step) => `${step.at}  ${step.state}  (${step.actor})${step.reason ? ` ${step.reason}` : ""}`)
					.join("\n"),
			],
			["failure", task.failure ? `${task.failure.code}  ${task.failure.name}: ${task.failure.message}` : undefined],
			["stack", task.failure?.stack || undefined],
			["stderr's end", task.failure?.stderr_tail || undefined],
		]);
	},
	ids: (task) => [task.id],
	async *run(context, { task }) {
		const client = await context.client();
		const document = await client.getTask(await selectTask(context, client, task));
		const waits = document.state !== "running" && !isFinal(document.state);
		yield { ...document, explanation: waits ? await client.explainTask(document.id) : null };
	},
});
