import * as z from "zod";
import { issueRow, readFlowFile, rowOf } from "../flow-file.ts";
import { stateColours } from "../screen.ts";
import { verb } from "../verb.ts";

export const flowLint = verb({
	name: "flow lint",
	summary: "Check a flow's file: every fault with its line, without a cloud",
	arguments: [
		{
			name: "file",
			summary: "JSON or YAML, the definition alone or with title and input_schema; - for stdin",
			completes: "file",
		},
	],
	options: [{ flags: "--strict", summary: "warnings count as faults" }],
	examples: [
		["errand flow lint reconstruct.yaml", "exit status 1 when the service would refuse it"],
		["errand flow lint reconstruct.yaml --json", "the same for an editor"],
	],
	input: z.object({ file: z.string(), strict: z.boolean().default(false) }),
	output: z.object({
		file: z.string(),
		errors: z.number(),
		warnings: z.number(),
		strict: z.boolean(),
		issues: z.array(issueRow),
	}),
	json: "document",
	show: ({ file, errors, warnings, issues }, screen) => {
		if (issues.length > 0)
			screen.table(
				issues,
				[
					{ title: "line", cell: ({ line = "", column = "" }) => `${line}:${column}`, align: "right" },
					{
						title: "",
						cell: ({ severity }) => screen.style(stateColours[severity === "error" ? "fault" : severity], severity),
					},
					{ title: "code", cell: ({ code }) => code },
					{ title: "where", cell: ({ path }) => path || "/" },
					{ title: "what", cell: ({ message }) => message },
				],
				"",
			);
		const count = (number: number, word: string): string => `${number} ${word}${number === 1 ? "" : "s"}`;
		screen.note(
			`${file}: ${issues.length === 0 ? "no faults" : `${count(errors, "error")}, ${count(warnings, "warning")}`}`,
		);
	},
	ids: ({ issues }) => issues.map(({ line, column, code }) => `${line ?? ""}:${column ?? ""} ${code}`),
	exit: ({ errors, warnings, strict }) => (errors > 0 || (strict && warnings > 0) ? "failed" : undefined),
	async *run(context, { file, strict }) {
		const { issues } = await readFlowFile(context, file);
		const errors = issues.filter(({ severity }) => severity === "error").length;
		yield { file, errors, warnings: issues.length - errors, strict, issues: issues.map(rowOf) };
	},
});
