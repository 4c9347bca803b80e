/** What a reader of a document finds wrong with it: everything at once, each with its place. */
import type { FlowIssue, FlowIssueCode } from "./issue.ts";

/** Keys and places from the document's root: `["States", "Move", "Next"]`. */
export type DocumentPath = readonly (string | number)[];

/** Where something of a document is in its text, from 1. `key`: the name before the value. */
export interface TextPlaces {
	readonly line: number;
	readonly column: number;
}
export type Locate = (path: DocumentPath, part: "key" | "value") => TextPlaces | undefined;

export class Findings {
	readonly #issues: FlowIssue[] = [];
	readonly #locate: Locate;

	constructor(locate: Locate = () => undefined) {
		this.#locate = locate;
	}

	error(code: FlowIssueCode, path: DocumentPath, message: string, part: "key" | "value" = "value"): void {
		this.#add("error", code, path, message, part);
	}

	warning(code: FlowIssueCode, path: DocumentPath, message: string, part: "key" | "value" = "value"): void {
		this.#add("warning", code, path, message, part);
	}

	get hasErrors(): boolean {
		return this.#issues.some(({ severity }) => severity === "error");
	}

	/** In the order of the lines; without lines, in the order in which they were found. */
	get issues(): readonly FlowIssue[] {
		return this.#issues.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
	}

	#add(
		severity: FlowIssue["severity"],
		code: FlowIssueCode,
		path: DocumentPath,
		message: string,
		part: "key" | "value",
	): void {
		const place = this.#locate(path, part);
		this.#issues.push({
			severity,
			code,
			path: path.map((key) => `/${String(key).replaceAll("~", "~0").replaceAll("/", "~1")}`).join(""),
			message,
			line: place?.line,
			column: place?.column,
		});
	}
}
