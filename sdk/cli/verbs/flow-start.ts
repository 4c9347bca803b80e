import { runDocument } from "@errand/proto/rest";
import * as z from "zod";
import { parseObject, readObject } from "../flow-content.ts";
import { selectFlow } from "../flow-selector.ts";
import { verb } from "../verb.ts";

export const flowStart = verb({
	name: "flow start",
	summary: "Start a run of a flow",
	arguments: [
		{ name: "flow", summary: "its id, its first characters, or its title" },
		{ name: "json-input", takes: "optional", summary: "what it begins with, a JSON object; - reads it from stdin" },
	],
	options: [
		{ flags: "--input <file>", summary: "what it begins with, from a file", completes: "file" },
		{ flags: "--label <text>", summary: "for lists; up to 64 characters" },
		{ flags: "--tag <tag>", summary: "for finding it again", repeats: true },
		{ flags: "--manager <principal>", summary: "who else may see and end it: a URN", repeats: true },
		{ flags: "--monitor <principal>", summary: "who else may see it", repeats: true },
	],
	examples: [
		[`errand flow start analyse '{"sample": "s17"}' --label s17`, "then: errand flow watch last"],
		["errand flow start analyse --input s17.json -q", "only the run's id, for other commands"],
	],
	input: z
		.object({
			flow: z.string(),
			jsonInput: z.string().optional(),
			input: z.string().optional(),
			label: z.string().max(64).optional(),
			tag: z.array(z.string()).optional(),
			manager: z.array(z.string()).optional(),
			monitor: z.array(z.string()).optional(),
		})
		.refine((typed) => typed.jsonInput === undefined || typed.input === undefined, "give JSON, or --input"),
	output: runDocument,
	json: "document",
	show: (run, screen) => {
		screen.line(`Run ${run.run_id} of ${screen.style("bold", run.flow_title)} has begun.`);
		screen.note(`Next: errand flow watch ${run.run_id.slice(0, 8)}`);
	},
	ids: (run) => [run.run_id],
	async *run(context, typed) {
		const client = await context.client();
		const flow = await selectFlow(client, typed.flow);
		const text = typed.jsonInput === "-" ? await context.readInput() : typed.jsonInput;
		const body =
			typed.input !== undefined
				? readObject(context, typed.input)
				: text === undefined
					? {}
					: parseObject(text, "the input");
		yield await client.flows.start(flow.id, {
			body: body as never,
			...(typed.label !== undefined && { label: typed.label }),
			...(typed.tag && { tags: typed.tag }),
			...(typed.manager && { run_managers: typed.manager }),
			...(typed.monitor && { run_monitors: typed.monitor }),
		});
	},
});
