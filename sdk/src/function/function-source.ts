/**
 * The text of a function, as `toString()` gives it, to the text of a module that exports it. A function's text is an
 * expression (`(a) => a`, `function f() {}`) or a method (`f() {}`, `async *f() {}`), which needs an object around it.
 */
import { type ArrowFunctionExpression, type FunctionExpression, type Program, parse } from "acorn";
import { platform } from "#platform";
import { CaptureError } from "../errors.ts";
import { isIdentifier } from "./identifier.ts";

export interface FunctionSource {
	kind: "expression" | "method";
	/** JavaScript. */
	text: string;
	program: Program;
	fn: FunctionExpression | ArrowFunctionExpression;
	/** A function expression's own name, which it may call itself by. */
	ownName: string | undefined;
}

/** Throws a CaptureError when the text is of neither form, in JavaScript or TypeScript. */
export function readFunction(text: string, called: string): FunctionSource {
	const found = readJavaScript(text);
	if (found !== undefined) return found;
	const stripped = withoutTypes(text);
	const again = stripped === undefined ? undefined : readJavaScript(stripped);
	if (again !== undefined) return again;
	throw new CaptureError(
		`${called} cannot be read as a function from its source text; export it from a module and submit module({ file, name })`,
	);
}

function readJavaScript(text: string): FunctionSource | undefined {
	const expression = tryParse(`(${text}\n)`);
	const statement = expression?.body[0];
	if (expression !== undefined && statement?.type === "ExpressionStatement") {
		const fn = statement.expression;
		if (fn.type === "FunctionExpression") {
			return { kind: "expression", text, program: expression, fn, ownName: fn.id?.name };
		}
		if (fn.type === "ArrowFunctionExpression") {
			return { kind: "expression", text, program: expression, fn, ownName: undefined };
		}
	}
	return readMethod(text);
}

/** `key(…) {…}` with any modifiers; a computed key is evaluated elsewhere, so another one takes its place. */
function readMethod(text: string): FunctionSource | undefined {
	const program = tryParse(`({${text.replace(/^static\s+(?=[^\s(])/, "")}\n})`);
	const statement = program?.body[0];
	if (program === undefined || statement?.type !== "ExpressionStatement") return undefined;
	const object = statement.expression;
	const property = object.type === "ObjectExpression" ? object.properties[0] : undefined;
	if (property?.type !== "Property" || property.value.type !== "FunctionExpression" || property.kind !== "init") {
		return undefined;
	}
	const own = text.replace(/^static\s+(?=[^\s(])/, "");
	// Positions are those of the text within "({": two characters before it.
	const from = property.computed ? own.lastIndexOf("[", property.key.start - 2) : property.key.start - 2;
	const to = property.computed ? own.indexOf("]", property.key.end - 2) + 1 : property.key.end - 2;
	const renamed = `${own.slice(0, from)}errandMethod${own.slice(to)}`;
	const again = tryParse(`({${renamed}\n})`);
	const fn = methodOf(again);
	if (again === undefined || fn === undefined) return undefined;
	return { kind: "method", text: renamed, program: again, fn, ownName: undefined };
}

function methodOf(program: Program | undefined): FunctionExpression | undefined {
	const statement = program?.body[0];
	const object = statement?.type === "ExpressionStatement" ? statement.expression : undefined;
	const property = object?.type === "ObjectExpression" ? object.properties[0] : undefined;
	return property?.type === "Property" && property.value.type === "FunctionExpression" ? property.value : undefined;
}

/** Module code is strict, which sloppy functions need not be: then the worker could not load it either. */
function tryParse(text: string): Program | undefined {
	try {
		return parse(text, { ecmaVersion: "latest", sourceType: "module", ranges: true });
	} catch {
		return undefined;
	}
}

function withoutTypes(text: string): string | undefined {
	// Assigned, so that an unused expression is not dropped; the assignment is taken off again.
	const mark = "globalThis.errandFunction = ";
	for (const [before, after] of [
		["", ""],
		["{", "}"],
	] as const) {
		try {
			const plain = platform.stripTypes(`${mark}${before}${text}${after};`).trim().replace(/;$/, "");
			if (!plain.startsWith(mark)) continue;
			const value = plain.slice(mark.length);
			return before === "" ? value : value.trim().replace(/^\{/, "").replace(/\}$/, "").trim();
		} catch (error) {
			if (error instanceof CaptureError) throw error;
		}
	}
	return undefined;
}

/** The module, and the name it exports the function by: its own where that can be bound, else `default`. */
export function exportFunction(source: FunctionSource, name: string): { exportName: string; source: string } {
	const value = source.kind === "method" ? `({ ${source.text} }).errandMethod` : source.text;
	const bound = source.ownName ?? name;
	if (!isIdentifier(bound)) return { exportName: "default", source: `export default (${value}\n);\n` };
	if (source.kind === "expression" && source.ownName !== undefined) {
		return { exportName: bound, source: `export ${source.text}\n` };
	}
	return { exportName: bound, source: `const ${bound} = ${value};\nexport { ${bound} };\n` };
}
