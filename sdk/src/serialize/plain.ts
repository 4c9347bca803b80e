/** What JSON says without loss. Everything else is found, and named by its path. */

/** Why a value is not JSON, and where: `[0].when` behind whatever the caller calls the whole. */
export interface Impurity {
	path: string;
	what: string;
}

/**
 * The first value that JSON would drop, change or refuse; undefined when there is none. A shared reference is fine
 * (JSON repeats it), a cycle is not.
 */
export function findImpurity(value: unknown): Impurity | undefined {
	return walk(value, "", new Set());
}

function walk(value: unknown, path: string, above: Set<object>): Impurity | undefined {
	switch (typeof value) {
		case "string":
		case "boolean":
			return undefined;
		case "number":
			return Number.isFinite(value) ? undefined : { path, what: String(value) };
		case "object":
			return value === null ? undefined : walkObject(value, path, above);
		default:
			return { path, what: describe(value) };
	}
}

function walkObject(value: object, path: string, above: Set<object>): Impurity | undefined {
	if (above.has(value)) return { path, what: "a reference to something that contains it" };
	above.add(value);
	const found = Array.isArray(value) ? walkArray(value, path, above) : walkRecord(value, path, above);
	above.delete(value);
	return found;
}

function walkArray(value: readonly unknown[], path: string, above: Set<object>): Impurity | undefined {
	for (let i = 0; i < value.length; i++) {
		const found = walk(value[i], `${path}[${i}]`, above);
		if (found !== undefined) return found;
	}
	return undefined;
}

function walkRecord(value: object, path: string, above: Set<object>): Impurity | undefined {
	const prototype: unknown = Object.getPrototypeOf(value);
	if (prototype !== null && prototype !== Object.prototype) return { path, what: describe(value) };
	if (typeof (value as { toJSON?: unknown }).toJSON === "function")
		return { path: `${path}.toJSON`, what: "a function" };
	for (const [key, each] of Object.entries(value)) {
		const found = walk(each, path + accessor(key), above);
		if (found !== undefined) return found;
	}
	return undefined;
}

/** `.name`, or `["a name"]`. */
export function accessor(key: string): string {
	return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

/** A value as a sentence calls it: "a Date", "a function", "undefined". */
export function describe(value: unknown): string {
	if (value === undefined || value === null) return String(value);
	if (typeof value === "function") return value.name === "" ? "a function" : `the function ${value.name}`;
	if (typeof value === "bigint") return `the BigInt ${value}n`;
	if (typeof value === "symbol") return String(value);
	if (typeof value !== "object") return `a ${typeof value}`;
	const name: unknown = Object.getPrototypeOf(value)?.constructor?.name;
	const called = typeof name === "string" && name !== "" ? name : "object without a class";
	return `${/^[AEIOU]/.test(called) ? "an" : "a"} ${called}`;
}

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
