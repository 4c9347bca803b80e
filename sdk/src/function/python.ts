/** Python functions by their source text; arguments and results are JSON, so nothing needs to be installed. */

import { serializations } from "@errand/proto";
import { platform } from "#platform";
import { CaptureError } from "../errors.ts";
import { packPlain, splitKeywords } from "../serialize/arguments.ts";
import { once, packCode, type RemoteFunction } from "./remote-function.ts";

export type PythonOptions = {
	/** The function's name in the source. */
	name: string;
	description?: string;
} & ({ file: string } | { source: string });

/**
 * A Python function to submit; keyword arguments with `keywords({ … })` as the last argument.
 *
 * ```ts
 * const mean = python<[number[]], number>({ file: "analysis.py", name: "mean" });
 * await executor.submit(mean, [1, 2, 3]);
 * ```
 * The whole file travels and runs once in each worker that meets it. Throws a CaptureError when the source is given
 * and has no such function; with a file, the future is rejected with it.
 */
export function python<Args extends readonly unknown[] = unknown[], Result = unknown>(
	options: PythonOptions,
): RemoteFunction<Args, Result> {
	const { name } = options;
	if (!/^[\p{ID_Start}_][\p{ID_Continue}]*$/u.test(name)) {
		throw new CaptureError(`python: "${name}" is not the name of a Python function`);
	}
	const load = "source" in options ? checked(name, options.source, "the source") : undefined;
	const code = once(async () => {
		const source =
			"file" in options ? checked(name, await platform.readSource(options.file), options.file) : (load ?? "");
		return packCode(serializations.pythonSource, `${name}:${source}`);
	});
	return {
		name,
		...(options.description === undefined ? {} : { description: options.description }),
		code,
		packArguments: (args) => packPlain(name, splitKeywords(args)),
		readResult: (value) => value as Result,
	};
}

function checked(name: string, source: string, where: string): string {
	const defined = new RegExp(
		`^(async[ \\t]+def|def|class)[ \\t]+${name}\\b|^${name}[ \\t]*(:[^=\\n]*)?=[^=]|\\bimport\\b.*\\b${name}\\b`,
		"mu",
	);
	if (defined.test(source)) return source;
	const found = [...source.matchAll(/^(?:async[ \t]+)?def[ \t]+([^\s(]+)/gmu)].map((match) => match[1]);
	const has = found.length === 0 ? "it defines no function at its top level" : `it defines ${found.join(", ")}`;
	throw new CaptureError(`python: ${where} has no function "${name}"; ${has}`);
}
