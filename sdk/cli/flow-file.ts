/** Files with a flow, or with a part of one, as people write them. */
import { readFileSync } from "node:fs";
import { basename, resolve } from "node:path";
import { readFlowSource } from "@errand/proto/flow-source";
import type { FlowCreation } from "@errand/proto/rest";
import { Complaint } from "./complaint.ts";
import type { Context } from "./context.ts";

export interface FlowFile {
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
export function readFlowFile(context: Context, path: string, schemaPath: string | undefined): FlowFile {
	const source = readFlowSource(readText(context, path));
	if (source.flow === undefined) {
		const errors = source.issues.filter(({ severity }) => severity === "error");
		const said = errors
			.slice(0, issuesShown)
			.map(({ line, column, message }) => `${path}${line === undefined ? "" : `:${line}:${column}`}: ${message}`);
		throw new Complaint("usage", said.join("\n"), { next: `errand flow lint ${path}` });
	}
	const { title, subtitle, description, keywords } = source;
	const schema = schemaPath === undefined ? source.inputSchema : readObject(context, schemaPath);
	return {
		definition: source.definition as FlowFile["definition"],
		inputSchema: schema as FlowFile["inputSchema"],
		title,
		subtitle,
		description,
		keywords,
		name: basename(path).replace(/\.[^.]*$/, ""),
	};
}

export function readObject(context: Context, path: string): Record<string, unknown> {
	return parseObject(readText(context, path), path);
}

/** JSON text that must be an object; `from` is what to call it. */
export function parseObject(text: string, from: string): Record<string, unknown> {
	try {
		const value: unknown = JSON.parse(text);
		if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
	} catch (cause) {
		throw new Complaint("usage", `${from} is not JSON: ${(cause as Error).message}`);
	}
	throw new Complaint("usage", `${from} is not a JSON object`);
}

function readText(context: Context, path: string): string {
	try {
		return readFileSync(resolve(context.workingDirectory, path), "utf8");
	} catch (cause) {
		throw new Complaint("usage", `cannot read ${path}: ${(cause as Error).message}`);
	}
}
