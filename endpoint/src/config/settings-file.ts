/** Settings as people write them in YAML: read strictly by a schema, every fault at once, each with its line. */
import { isNode, LineCounter, parseDocument } from "yaml";
import type * as z from "zod";

/** All faults of one file, a line each. */
export class ConfigFault extends Error {
	override readonly name = "ConfigFault";
	readonly faults: readonly string[];

	constructor(file: string, faults: readonly string[]) {
		super(`${file} has ${faults.length === 1 ? "a fault" : `${faults.length} faults`}:\n  ${faults.join("\n  ")}`);
		this.faults = faults;
	}
}

/**
 * `file` is for messages. `unknown` says what to tell of a setting that the schema does not have.
 * Throws a {@link ConfigFault}.
 */
export function readSettings<Schema extends z.ZodType>(
	schema: Schema,
	text: string,
	file: string,
	unknown: (setting: string) => string = () => "there is no such setting",
): z.output<Schema> {
	const lines = new LineCounter();
	const parsed = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
	if (parsed.errors.length > 0)
		throw new ConfigFault(
			file,
			parsed.errors.map((error) => `line ${error.linePos?.[0].line ?? "?"}: ${error.message.split("\n")[0]}`),
		);
	const read = schema.safeParse(parsed.toJS() ?? {});
	if (read.success) return read.data;
	const lineOf = (at: readonly PropertyKey[]): string => {
		for (let length = at.length; length > 0; length--) {
			const node = parsed.getIn(at.slice(0, length), true);
			if (isNode(node) && node.range) return `line ${lines.linePos(node.range[0]).line}: `;
		}
		return "";
	};
	throw new ConfigFault(
		file,
		read.error.issues.flatMap((issue) =>
			issue.code === "unrecognized_keys"
				? issue.keys.map((key) => `${lineOf([...issue.path, key])}${key}: ${unknown(key)}`)
				: [`${lineOf(issue.path)}${issue.path.map(String).join(".")}: ${issue.message}`],
		),
	);
}
