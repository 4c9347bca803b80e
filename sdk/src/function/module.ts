/** A function of a module, with everything the module imports: for functions that need more than themselves. */

import { functionLimitBytes, serializations } from "@errand/proto";
import { parse } from "acorn";
import { platform } from "#platform";
import { CaptureError } from "../errors.ts";
import { packStructured, splitKeywords } from "../serialize/arguments.ts";
import { once, packCode, type RemoteFunction } from "./remote-function.ts";

export interface ModuleOptions {
	/** A path or a `file:` URL, of JavaScript or TypeScript. */
	file: string;
	/** The export to call; `default` is allowed. */
	name: string;
	description?: string;
}

/**
 * A function exported by a module, bundled with the module's imports (packages and own files; Node's built-in modules
 * are the worker's own). Works in Node.
 *
 * ```ts
 * const solve = module<typeof import("./solver.ts").solve>({ file: new URL("solver.ts", import.meta.url).href, name: "solve" });
 * module<typeof mesh>(import.meta.url, "mesh"); // exported by this very file
 * ```
 * The module's top level runs on the worker too, once: keep the program that submits in another file.
 * The future is rejected with a CaptureError when the module cannot be bundled, is too large or has no such export.
 */
export function module<F extends (...args: never[]) => unknown = (...args: unknown[]) => unknown>(
	...where: [options: ModuleOptions] | [url: string, name: string]
): RemoteFunction<Parameters<F>, Awaited<ReturnType<F>>> {
	const options: ModuleOptions = typeof where[0] === "string" ? { file: where[0], name: where[1] as string } : where[0];
	const { file, name } = options;
	const code = once(async () => {
		const source = await platform.bundle({ file, name });
		const exported = exportsOf(source);
		if (!exported.includes(name)) {
			const has = exported.length === 0 ? "it exports nothing" : `it exports ${exported.join(", ")}`;
			throw new CaptureError(`module: ${file} has no export "${name}"; ${has}`);
		}
		const packed = packCode(serializations.javascriptSource, `${name}:${source}`);
		if (packed.length > functionLimitBytes) {
			throw new CaptureError(
				`module: ${file} is ${packed.length} bytes with its imports, the limit is ${functionLimitBytes}: import less`,
			);
		}
		return packed;
	});
	return {
		name,
		...(options.description === undefined ? {} : { description: options.description }),
		code,
		packArguments: (args) => packStructured(name, splitKeywords(args)),
		readResult: (value) => value as Awaited<ReturnType<F>>,
	};
}

/** Names that a bundle exports; esbuild writes them as one list, or as a default expression. */
function exportsOf(source: string): string[] {
	const names: string[] = [];
	for (const node of parse(source, { ecmaVersion: "latest", sourceType: "module" }).body) {
		if (node.type === "ExportDefaultDeclaration") names.push("default");
		if (node.type !== "ExportNamedDeclaration") continue;
		for (const { exported } of node.specifiers) {
			names.push(exported.type === "Identifier" ? exported.name : String(exported.value));
		}
	}
	return names;
}
