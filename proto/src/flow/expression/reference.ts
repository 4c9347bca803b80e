/** The name of a value as `is_present` and `getattr` take it: `input.files[0]`, with or without `$.` before it. */
import { isPathFault, type PathFault, parsePath, type ReferencePath } from "../reference-path.ts";

export function parseReference(text: string): ReferencePath | PathFault {
	const path = parsePath(text.startsWith("$") ? text : `$.${text}`);
	return isPathFault(path) ? { message: `"${text}" names no value: ${path.message}`, at: path.at } : path;
}
