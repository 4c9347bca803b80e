import * as z from "zod";
import { readFlowContent } from "../flow-content.ts";
import { verb } from "../verb.ts";

const warning = z.object({ code: z.string(), path: z.string(), message: z.string() });

export const flowValidate = verb({
	name: "flow validate",
	summary: "Ask the cloud whether it would take a flow, without keeping it",
	arguments: [{ name: "file", summary: "JSON or YAML", completes: "file" }],
	options: [{ flags: "--input-schema <file>", summary: "JSON Schema of what runs begin with", completes: "file" }],
	examples: [["errand flow validate analyse.yaml", "exit status 2 when it would not; errand flow lint needs no cloud"]],
	input: z.object({ file: z.string(), inputSchema: z.string().optional() }),
	output: z.object({ file: z.string(), warnings: z.array(warning) }),
	json: "document",
	show: ({ file, warnings }, screen) => {
		for (const { path, message } of warnings) screen.note(`${path}: ${message}`);
		screen.line(`The cloud would take ${file}.`);
	},
	ids: () => [],
	async *run(context, { file, inputSchema }) {
		const client = await context.client();
		const flow = await readFlowContent(context, file, inputSchema);
		const { warnings } = await client.flows.validate(flow.definition, flow.inputSchema);
		yield { file, warnings };
	},
});
