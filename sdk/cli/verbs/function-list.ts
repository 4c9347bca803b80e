import { functionSummary } from "@errand/proto/rest";
import * as z from "zod";
import { whole } from "../input.ts";
import { allFunctions } from "../selector.ts";
import { verb } from "../verb.ts";

export const functionList = verb({
	name: "function list",
	summary: "List your registered functions, newest first",
	options: [
		{ flags: "-r, --runtime <runtime>", summary: "only of this kind", choices: ["javascript", "python", "command"] },
		{ flags: "-n, --limit <count>", summary: "at most this many (default 50)" },
	],
	examples: [["errand function list --runtime python", "your Python functions"]],
	input: z.object({
		runtime: z.enum(["javascript", "python", "command"]).optional(),
		limit: whole(1, 100_000).default(50),
	}),
	output: z.object({ functions: z.array(functionSummary) }),
	json: "document",
	show: ({ functions }, screen) =>
		screen.table(
			functions,
			[
				{ title: "function", cell: (row) => row.id.slice(0, 8) },
				{ title: "name", cell: (row) => row.name },
				{ title: "runtime", cell: (row) => row.runtime },
				{ title: "public", cell: (row) => (row.public ? "yes" : "") },
				{ title: "registered", cell: (row) => row.created_at.slice(0, 16).replace("T", " ") },
				{ title: "description", cell: (row) => (row.description ?? "").slice(0, 60) },
			],
			"No functions.",
		),
	ids: ({ functions }) => functions.map((row) => row.id),
	async *run(context, { runtime, limit }) {
		const client = await context.client();
		const functions = [];
		for await (const row of allFunctions(client)) {
			if (runtime !== undefined && row.runtime !== runtime) continue;
			functions.push(row);
			if (functions.length === limit) break;
		}
		yield { functions };
	},
});
