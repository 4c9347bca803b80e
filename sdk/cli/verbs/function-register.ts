import * as z from "zod";
import { shell } from "../../src/index.ts";
import { Complaint } from "../complaint.ts";
import { durationMs } from "../input.ts";
import { functionInFile } from "../run-target.ts";
import { verb } from "../verb.ts";

export const functionRegister = verb({
	name: "function register",
	summary: "Register a function, so that it can be run by its id or name",
	arguments: [{ name: "function", takes: "optional", summary: "FILE:NAME of Python or TypeScript", completes: "file" }],
	options: [
		{ flags: "--shell <template>", summary: "a command instead, with {name} for each parameter" },
		{ flags: "--name <name>", summary: "another name than the function's own" },
		{ flags: "--description <text>", summary: "for people" },
		{ flags: "--walltime <duration>", summary: "with --shell: stop the command after this long" },
		{ flags: "--public", summary: "everybody may run it" },
		{ flags: "--group <group>", summary: "the members of this group may run it: name or id" },
	],
	examples: [
		["errand function register analysis.py:mean", "then: errand run -e local mean '[[1,2,3]]'"],
		["errand function register --shell 'wc -l {path}' --name count-lines", "a command with one parameter"],
	],
	input: z
		.object({
			function: z.string().optional(),
			shell: z.string().min(1).optional(),
			name: z.string().min(1).max(256).optional(),
			description: z.string().max(10_000).optional(),
			walltime: durationMs.optional(),
			public: z.boolean().optional(),
			group: z.string().optional(),
		})
		.refine((input) => (input.function === undefined) !== (input.shell === undefined), "give FILE:NAME, or --shell"),
	output: z.object({ id: z.uuid(), name: z.string() }),
	json: "document",
	show: ({ id, name }, screen) => screen.line(`Registered ${screen.style("bold", name)} as ${id}.`),
	ids: ({ id }) => [id],
	async *run(context, input) {
		const client = await context.client();
		const target =
			input.shell === undefined
				? functionInFile(input.function as string, context.workingDirectory)
				: shell(input.shell, input.walltime === undefined ? {} : { walltimeMs: input.walltime });
		if (!target)
			throw new Complaint("usage", `${input.function} is not FILE:NAME`, { next: "errand function register --help" });
		const name = input.name ?? target.name;
		const id = await client.registerFunction({
			function_name: name,
			function_code: await target.code(),
			...(input.description !== undefined && { description: input.description }),
			...(input.public && { public: true }),
			...(input.group !== undefined && { group: (await client.sharing.getGroup(input.group)).id }),
		});
		yield { id, name };
	},
});
