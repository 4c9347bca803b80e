/**
 * Whether JSON says exactly this, cheaply: primitives, and flat arrays and records of them. Used where the structured
 * form is the alternative, so `false` costs nothing but time.
 */
export function isFlatJson(value: unknown): boolean {
	if (isJsonPrimitive(value)) return true;
	if (typeof value !== "object" || value === null) return false;
	if (Array.isArray(value)) {
		for (let i = 0; i < value.length; i++) if (!isJsonPrimitive(value[i])) return false;
		return true;
	}
	if (Object.getPrototypeOf(value) !== Object.prototype || Object.getOwnPropertySymbols(value).length > 0) return false;
	for (const key of Object.keys(value)) {
		if (key === "__proto__" || key === "toJSON" || !isJsonPrimitive((value as Record<string, unknown>)[key]))
			return false;
	}
	return true;
}

function isJsonPrimitive(value: unknown): boolean {
	if (typeof value === "number") return Number.isFinite(value) && !Object.is(value, -0);
	return typeof value === "string" || typeof value === "boolean" || value === null;
}
