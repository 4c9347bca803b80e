/** A file with a flow, read without a cloud. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { FlowIssue } from "@errand/proto/flow";
import { type FlowSource, readFlowSource } from "@errand/proto/flow-source";
import * as z from "zod";
import { Complaint } from "./complaint.ts";
import type { Context } from "./context.ts";

/** `-` is stdin. A Complaint when there is no such file; faults in the flow are in what comes back. */
export async function readFlowFile(context: Context, file: string): Promise<FlowSource> {
	return readFlowSource(
		file === "-" ? await context.readInput() : readText(resolve(context.workingDirectory, file), file),
	);
}

function readText(path: string, file: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		if (code === "ENOENT") throw new Complaint("usage", `there is no file ${file}`, { cause: error });
		if (code === "EISDIR") throw new Complaint("usage", `${file} is a directory, not a flow`, { cause: error });
		throw error;
	}
}

export const issueRow = z.object({
	severity: z.enum(["error", "warning"]),
	code: z.string(),
	line: z.number().optional(),
	column: z.number().optional(),
	path: z.string(),
	message: z.string(),
});

export function rowOf({ severity, code, line, column, path, message }: FlowIssue): z.infer<typeof issueRow> {
	return { severity, code, ...(line !== undefined && { line, column }), path, message };
}
