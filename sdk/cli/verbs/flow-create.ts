import { flowDocument } from "@errand/proto/rest";
import * as z from "zod";
import { readFlowContent } from "../flow-content.ts";
import { verb } from "../verb.ts";

const principal = z.array(z.string()).optional();

export const flowCreate = verb({
	name: "flow create",
	summary: "Make a flow of a file, or change one",
	arguments: [
		{ name: "file", summary: "JSON or YAML: a definition, or title, definition and input_schema", completes: "file" },
	],
	options: [
		{ flags: "--title <text>", summary: "for lists; the file's own title, or its name, without it" },
		{ flags: "--input-schema <file>", summary: "JSON Schema of what runs begin with", completes: "file" },
		{ flags: "--update <flow>", summary: "change this flow instead; runs under way keep what they began with" },
		{ flags: "--viewer <principal>", summary: "who may see it: a URN, or public", repeats: true },
		{ flags: "--starter <principal>", summary: "who may start it: a URN, or all_authenticated_users", repeats: true },
		{ flags: "--administrator <principal>", summary: "who may change it", repeats: true },
	],
	examples: [
		["errand flow create analyse.yaml", "then: errand flow start analyse"],
		["errand flow create analyse.yaml --update analyse", "a better version of it"],
	],
	input: z.object({
		file: z.string(),
		title: z.string().min(1).max(128).optional(),
		inputSchema: z.string().optional(),
		update: z.string().optional(),
		viewer: principal,
		starter: principal,
		administrator: principal,
	}),
	output: flowDocument,
	json: "document",
	show: (flow, screen) => screen.line(`${screen.style("bold", flow.title)} is flow ${flow.id}.`),
	ids: (flow) => [flow.id],
	async *run(context, input) {
		const client = await context.client();
		const file = await readFlowContent(context, input.file, input.inputSchema);
		const title = input.title ?? file.title;
		const content = {
			definition: file.definition,
			...(file.subtitle !== undefined && { subtitle: file.subtitle }),
			...(file.description !== undefined && { description: file.description }),
			...(file.keywords.length > 0 && { keywords: [...file.keywords] }),
			...(file.inputSchema && { input_schema: file.inputSchema }),
			...(input.viewer && { flow_viewers: input.viewer }),
			...(input.starter && { flow_starters: input.starter }),
			...(input.administrator && { flow_administrators: input.administrator }),
		};
		if (input.update === undefined) yield await client.flows.create({ title: title ?? file.name, ...content });
		else {
			const { selectFlow } = await import("../flow-selector.ts");
			const flow = await selectFlow(client, input.update);
			yield await client.flows.update(flow.id, { ...(title !== undefined && { title }), ...content });
		}
	},
});
