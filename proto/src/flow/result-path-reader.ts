import type { Findings } from "./findings.ts";
import type { ObjectReader } from "./object-reader.ts";
import type { ReferencePath } from "./reference-path.ts";

/** `ResultPath`: the whole state when it is not written, nowhere when it is null. */
export function readResultPath(fields: ObjectReader, findings: Findings): ReferencePath | null {
	if (fields.value("ResultPath") === null) return null;
	const path = fields.referencePath("ResultPath") ?? [];
	if (path[0] === "_context")
		findings.error("path", fields.at("ResultPath"), "$._context is written by the service: choose another name");
	return path;
}
