/** A value of JavaScript as JSON has it: what JSON lacks becomes its nearest text, list or object. */
type Plain = string | number | boolean | null | Plain[] | { [key: string]: Plain };

export function toPlain(value: unknown, above: ReadonlySet<unknown> = new Set()): Plain {
	if (value === null || value === undefined) return null;
	if (typeof value === "string" || typeof value === "boolean") return value;
	if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
	if (typeof value !== "object") return String(value);
	if (above.has(value)) return "[circular]";
	const inside = new Set(above).add(value);
	const down = (inner: unknown): Plain => toPlain(inner, inside);
	if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
	if (value instanceof Error) return { name: value.name, message: value.message };
	if (value instanceof RegExp || value instanceof URL) return String(value);
	if (value instanceof Map)
		return [...value.keys()].every((key) => typeof key === "string")
			? Object.fromEntries([...value].map(([key, inner]) => [key as string, down(inner)]))
			: [...value].map(([key, inner]) => [down(key), down(inner)]);
	if (value instanceof Set || Array.isArray(value)) return [...value].map(down);
	if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return [...(value as Uint8Array)].map(down);
	if (value instanceof ArrayBuffer) return [...new Uint8Array(value)];
	return Object.fromEntries(
		Object.entries(value)
			.filter(([, inner]) => inner !== undefined)
			.map(([key, inner]) => [key, down(inner)]),
	);
}
