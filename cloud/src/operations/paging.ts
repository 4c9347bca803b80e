/** Pages and their cursors: opaque to callers, a position in the list's order to us. */
import { Fault } from "@errand/proto";
import type { Page } from "@errand/proto/rest";

/** Inverse of {@link partsOf}. */
export function cursorOf(...parts: readonly string[]): string {
	return Buffer.from(JSON.stringify(parts)).toString("base64url");
}

/** Inverse of {@link cursorOf}: `count` parts, or none without a cursor. Throws REQUEST_MALFORMED for a foreign one. */
export function partsOf(cursor: string | undefined, count: number): string[] {
	if (cursor === undefined || cursor === "") return [];
	try {
		const parts: unknown = JSON.parse(Buffer.from(cursor, "base64url").toString());
		if (Array.isArray(parts) && parts.length === count && parts.every((part) => typeof part === "string")) return parts;
	} catch {
		// said below
	}
	throw new Fault("REQUEST_MALFORMED", "this cursor did not come from this list; start again without one");
}

/** `rows` holds one more than `limit` when there is a next page. */
export function toPage<Row, Item>(
	rows: readonly Row[],
	limit: number,
	toItem: (row: Row) => Item,
	toCursor: (row: Row) => string,
): Page<Item> {
	const here = rows.slice(0, limit);
	const last = here.at(-1);
	return { items: here.map(toItem), next_cursor: rows.length > limit && last !== undefined ? toCursor(last) : null };
}
