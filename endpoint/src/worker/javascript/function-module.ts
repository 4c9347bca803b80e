/** Source text of a function → something to call. Compiled once, kept for the life of the worker. */
import { registerHooks } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Fault } from "@errand/proto/fault";
import { splitSource } from "@errand/proto/payload";

export type RemoteFunction = (...args: unknown[]) => unknown;

const scheme = "errand:";
const sources = new Map<string, string>();

/** Where bare imports of function code are looked up: the endpoint's directory. */
const importParent = pathToFileURL(join(process.env.ERRAND_MODULE_ROOT ?? process.cwd(), "function.mjs")).href;

// A scheme of our own: nothing is written, stacks say `errand:<function name>:<line>`, and packages resolve.
registerHooks({
	resolve: (specifier, context, next) => {
		if (sources.has(specifier)) return { url: specifier, format: "module", shortCircuit: true };
		return next(specifier, context.parentURL?.startsWith(scheme) ? { ...context, parentURL: importParent } : context);
	},
	load: (url, context, next) => {
		const source = sources.get(url);
		return source === undefined ? next(url, context) : { format: "module", source, shortCircuit: true };
	},
});

/** `NAME:SOURCE` → the function. Throws a Fault FUNCTION_NOT_LOADED that carries the compiler's words. */
export async function loadFunction(content: string): Promise<RemoteFunction> {
	const { name, source } = splitSource(content);
	const url = freeUrl(name);
	sources.set(url, source);
	let module: Record<string, unknown>;
	try {
		module = (await import(url)) as Record<string, unknown>;
	} catch (error) {
		throw new Fault("FUNCTION_NOT_LOADED", `function ${name} could not be loaded: ${messageOf(error)}`, {
			cause: error,
		});
	}
	const found = module[name] ?? module.default;
	if (typeof found !== "function")
		throw new Fault(
			"FUNCTION_NOT_LOADED",
			`the source of function ${name} exports no function of that name, nor a default one; it exports: ${Object.keys(module).join(", ") || "nothing"}`,
		);
	return found as RemoteFunction;
}

function freeUrl(name: string): string {
	const url = scheme + encodeURIComponent(name);
	for (let n = 2; ; n++) {
		const candidate = n === 2 && !sources.has(url) ? url : `${url}?${n}`;
		if (!sources.has(candidate)) return candidate;
	}
}

function messageOf(error: unknown): string {
	return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
