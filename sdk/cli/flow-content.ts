/** What the cloud is given of a flow's file, and other JSON that people write for flows. */
import { basename } from "node:path";
import type { FlowCreation } from "@errand/proto/rest";
import { Complaint } from "./complaint.ts";
import type { Context } from "./context.ts";
import { readFlowFile, readTextFile } from "./flow-file.ts";

interface FlowContent {
	readonly definition: FlowCreation["definition"];
	readonly inputSchema: FlowCreation["input_schema"];
	readonly title: string | undefined;
	readonly subtitle: string | undefined;
	readonly description: string | undefined;
	readonly keywords: readonly string[];
	/** The file's, without what follows the last dot. */
	readonly name: string;
}

/** Issues said at once; `errand flow lint` says all of them. */
const issuesShown = 5;

/** A Complaint with lines and columns when the flow could not run. */
export async function readFlowContent(
	context: Context,
	file: string,
	schemaFile: string | undefined,
): Promise<FlowContent> {
	const source = await readFlowFile(context, file);
	if (source.flow === undefined) {
		const said = source.issues
			.filter(({ severity }) => severity === "error")
			.slice(0, issuesShown)
			.map(({ line, column, message }) => `${file}${line === undefined ? "" : `:${line}:${column}`}: ${message}`);
		throw new Complaint("usage", said.join("\n"), { next: `errand flow lint ${file}` });
	}
	const { title, subtitle, description, keywords } = source;
	const schema = schemaFile === undefined ? source.inputSchema : readObject(context, schemaFile);
	return {
		definition: source.definition as FlowContent["definition"],
		inputSchema: schema as FlowContent["inputSchema"],
		title,
		subtitle,
		description,
		keywords,
		name: basename(file).replace(/\.[^.]*$/, ""),
	};
}

/** A file with a JSON object. */
export function readObject(context: Context, file: string): Record<string, unknown> {
	return parseObject(readTextFile(context, file), file);
}

/** JSON text that must be an object; `from` is what to call it. */
export function parseObject(text: string, from: string): Record<string, unknown> {
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch (cause) {
		throw new Complaint("usage", `${from} is not JSON: ${(cause as Error).message}`, { cause });
	}
	if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
	throw new Complaint("usage", `${from} is not a JSON object`);
}
