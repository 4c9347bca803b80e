import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { drawSvg, drawTerminal } from "@errand/proto/flow";
import * as z from "zod";
import { Complaint } from "../complaint.ts";
import { readFlowFile } from "../flow-file.ts";
import { whole } from "../input.ts";
import { verb } from "../verb.ts";

export const flowRender = verb({
	name: "flow render",
	summary: "Draw a flow: in the terminal, or as a picture",
	arguments: [{ name: "file", summary: "JSON or YAML; - for stdin", completes: "file" }],
	options: [
		{ flags: "--svg <path>", summary: "write a picture instead", completes: "file" },
		{ flags: "--width <columns>", summary: "of the drawing in the terminal; a list of states when it is too narrow" },
	],
	examples: [
		["errand flow render reconstruct.yaml", "boxes and lines; what is caught is dashed"],
		["errand flow render reconstruct.yaml --svg reconstruct.svg", "for a page or a talk"],
	],
	input: z.object({ file: z.string(), svg: z.string().optional(), width: whole(20, 1000).optional() }),
	output: z.object({ file: z.string(), svg: z.string().optional(), drawing: z.array(z.string()).optional() }),
	json: "document",
	show: ({ svg, drawing }, screen) => {
		if (svg !== undefined) screen.note(`wrote ${svg}`);
		for (const line of drawing ?? []) screen.line(line);
	},
	ids: ({ svg, file }) => [svg ?? file],
	async *run(context, { file, svg, width }) {
		const { flow, title, issues } = await readFlowFile(context, file);
		if (!flow) {
			const faults = issues.filter(({ severity }) => severity === "error");
			const first = faults[0];
			throw new Complaint("usage", `${file} has ${faults.length} faults; line ${first?.line ?? 1}: ${first?.message}`, {
				next: `errand flow lint ${file}`,
			});
		}
		if (svg === undefined) {
			const columns = width ?? (Number(context.environment.COLUMNS) || process.stdout.columns || 100);
			yield { file, drawing: [...drawTerminal(flow, { columns })] };
			return;
		}
		writeFileSync(resolve(context.workingDirectory, svg), drawSvg(flow, { title: title ?? flow.comment ?? file }));
		yield { file, svg };
	},
});
