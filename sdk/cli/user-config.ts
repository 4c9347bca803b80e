/** What a person asks of an endpoint's template. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { Complaint } from "./complaint.ts";

/** Of a JSON object, or of a file of it; undefined when nothing is asked for. A Complaint when it is neither. */
export function userConfigOf(text: string | undefined, workingDirectory: string): Record<string, unknown> | undefined {
	if (text === undefined) return undefined;
	const isText = /^\s*[{[]/.test(text);
	const what = isText ? "--user-config" : text;
	const next = `write --user-config '{"name": "value"}', or --user-config FILE`;
	let value: unknown;
	try {
		value = JSON.parse(isText ? text : readFileSync(resolve(workingDirectory, text), "utf8"));
	} catch (cause) {
		const fault = (cause as NodeJS.ErrnoException).code === undefined ? "is not JSON" : "cannot be read";
		throw new Complaint("usage", `${what} ${fault}: ${(cause as Error).message}`, { next });
	}
	if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
	throw new Complaint("usage", `${what} is no JSON object`, { next });
}
