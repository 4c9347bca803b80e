/**
 * A value as jsonb takes it: NUL and half surrogate pairs, which JSON allows and PostgreSQL does not, become U+FFFD.
 * What endpoints say about a failure must be kept even then. Null stays SQL's null.
 */
export function toJsonb(value: unknown): string | null {
	if (value === null || value === undefined) return null;
	const text = JSON.stringify(value);
	if (!/\\u(0000|d[89a-f])/i.test(text)) return text;
	return JSON.stringify(clean(value));
}

function clean(value: unknown): unknown {
	if (typeof value === "string") return value.toWellFormed().replaceAll("\0", "\ufffd");
	if (Array.isArray(value)) return value.map(clean);
	if (typeof value !== "object" || value === null) return value;
	return Object.fromEntries(Object.entries(value).map(([key, inner]) => [clean(key), clean(inner)]));
}
