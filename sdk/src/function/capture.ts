/**
 * A plain function as something to submit: its own source text. What it uses from outside does not travel, so it is
 * found here, at submit, and named.
 */
import { serializations } from "@errand/proto";
import { CaptureError } from "../errors.ts";
import { packStructured } from "../serialize/arguments.ts";
import { exportFunction, readFunction } from "./function-source.ts";
import { findOutside, type Outside } from "./outside.ts";
import { packCode, type RemoteFunction } from "./remote-function.ts";

/** Any function of the caller's. */
export type AnyFunction = (...args: never[]) => unknown;

const captured = new WeakMap<AnyFunction, RemoteFunction<unknown[], unknown>>();

/** By name and source text: a function written within a loop is another object each time, and the same function. */
const capturedTexts = new Map<string, RemoteFunction<unknown[], unknown>>();
/** A program with more than this many functions looks at the oldest again. */
const capturedTextsLimit = 1_000;

/** Throws a CaptureError. The same function is looked at once. */
export function capture(fn: AnyFunction): RemoteFunction<unknown[], unknown> {
	let found = captured.get(fn);
	if (found === undefined) {
		found = captureText(fn, Function.prototype.toString.call(fn));
		captured.set(fn, found);
	}
	return found;
}

function captureText(fn: AnyFunction, text: string): RemoteFunction<unknown[], unknown> {
	const key = `${fn.name}\n${text}`;
	let found = capturedTexts.get(key);
	if (found === undefined) {
		found = captureNow(fn, text);
		const oldest = capturedTexts.size >= capturedTextsLimit ? capturedTexts.keys().next().value : undefined;
		if (oldest !== undefined) capturedTexts.delete(oldest);
		capturedTexts.set(key, found);
	}
	return found;
}

function captureNow(fn: AnyFunction, text: string): RemoteFunction<unknown[], unknown> {
	const { exportName, source } = moduleOf(text, fn.name);
	const name = fn.name === "" ? "anonymous" : fn.name.slice(0, 256);
	const code = Promise.resolve(packCode(serializations.javascriptSource, `${exportName}:${source}`));
	return {
		name,
		code: () => code,
		packArguments: (args) => packStructured(name, { positional: args, keywords: {} }),
		readResult: (value) => value,
	};
}

/** esbuild's `keepNames` (as in tsx) calls this helper of its own around inner functions. */
const keepNames = "const __name = (fn) => fn;\n";

/**
 * An ES module that exports the function whose `toString()` is `text`, under its own name where it has one that can be
 * bound, else as `default`. Throws a CaptureError.
 */
export function moduleOf(text: string, name: string): { exportName: string; source: string } {
	const called = name === "" ? "the function" : name;
	if (/\{\s*\[native code\]\s*\}\s*$/.test(text)) {
		throw new CaptureError(
			`${called} is native or bound: its source is not JavaScript that can be sent; wrap it in an arrow function and pass what it is bound to as an argument`,
		);
	}
	if (/^class\b/.test(text)) {
		throw new CaptureError(`${called} is a class, which cannot be called; submit a function that makes and uses it`);
	}
	const form = readFunction(text, called);
	const outside = findOutside(form.program, form.fn, form.ownName ?? name);
	refuse(called, outside);
	const { exportName, source } = exportFunction(form, name);
	return { exportName, source: outside.globals.has("__name") ? keepNames + source : source };
}

function refuse(called: string, { variables, receiver, relativeImports, importMeta }: Outside): void {
	if (variables.length > 0) {
		const [what, it, pass] =
			variables.length === 1
				? ["the variable", "it does", "pass it as an argument"]
				: ["the variables", "they do", "pass them as arguments"];
		const require = variables.includes("require") ? '; instead of require("x") use await import("x")' : "";
		throw new CaptureError(
			`${called} uses ${what} ${variables.join(", ")} from outside; on the machine where it runs ${it} not exist: ${pass}, or export the function and submit module({ file, name })${require}`,
			variables,
		);
	}
	if (receiver !== undefined) {
		throw new CaptureError(
			`${called} uses ${receiver} of what is around it, which does not travel; pass what it needs as arguments`,
			[receiver],
		);
	}
	if (relativeImports.length > 0) {
		throw new CaptureError(
			`${called} imports ${relativeImports.join(", ")}, which the worker does not have; submit module({ file, name }), which brings its imports`,
			relativeImports,
		);
	}
	if (importMeta) {
		throw new CaptureError(
			`${called} uses import.meta, which means another module on the worker; pass what it needs as an argument`,
			["import.meta"],
		);
	}
}
