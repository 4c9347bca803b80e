/** Commands: a template whose `{name}` places are filled, quoted for the shell, from the parameters of `submit`. */
import { type CommandFunction, type CommandResult, serializations } from "@errand/proto";
import { SerializationError } from "../errors.ts";
import { packPlain } from "../serialize/arguments.ts";
import { type ShellResult, toShellResult } from "../serialize/result.ts";
import { packCode, type RemoteFunction } from "./remote-function.ts";

export interface ShellOptions {
	/** Milliseconds until the command's process group is ended, with return code 124. */
	walltimeMs?: number;
	/** Environment variables added for the command. */
	environment?: Record<string, string>;
	/** Lines of stdout and stderr in the result; 1,000 unless told. */
	snippetLines?: number;
	/** As listings call it; the template's first word unless told. */
	name?: string;
}

/** What may fill a place. It reaches the command as one word, whatever it contains. */
export type ShellValue = string | number | boolean;

/** The names of a template's places, when the template is known to the compiler. */
type PlaceNames<Template extends string> = Template extends `${string}{${infer Rest}`
	? Rest extends `{${infer After}`
		? PlaceNames<After>
		: Rest extends `${infer Name}}${infer After}`
			? Name | PlaceNames<After>
			: never
	: never;

/** The arguments of `submit` for a template: nothing, or one object with a value for every place. */
export type ShellArguments<Template extends string> = string extends Template
	? [parameters?: Record<string, ShellValue>]
	: [PlaceNames<Template>] extends [never]
		? []
		: [parameters: Record<PlaceNames<Template>, ShellValue>];

/**
 * A command to submit. `{name}` is replaced by the parameter, quoted as one word; `{{` and `}}` are literal braces.
 *
 * ```ts
 * const count = shell("wc -l {path}", { walltimeMs: 60_000 });
 * const { returncode, stdout } = await executor.submit(count, { path: "/etc/passwd" });
 * ```
 * Throws a RangeError for a template with an open brace, and `submit` a SerializationError for missing or unknown
 * parameters.
 */
export function shell<const Template extends string>(
	template: Template,
	options: ShellOptions = {},
): RemoteFunction<ShellArguments<Template>, ShellResult> {
	const places = placesOf(template);
	const name = options.name ?? (template.trim().split(/\s+/)[0]?.slice(0, 256) || "command");
	const command: CommandFunction = {
		command: template,
		...(options.walltimeMs === undefined ? {} : { walltime_ms: options.walltimeMs }),
		...(options.snippetLines === undefined ? {} : { snippet_lines: options.snippetLines }),
		...(options.environment === undefined ? {} : { environment: options.environment }),
	};
	const code = Promise.resolve(packCode(serializations.command, JSON.stringify(command)));
	return {
		name,
		code: () => code,
		packArguments: (args) => packPlain(name, { positional: [], keywords: parametersOf(name, places, args) }),
		readResult: (value) => toShellResult(value as CommandResult),
	};
}

/** The places of a template. Throws a RangeError that says where a brace is left alone. */
export function placesOf(template: string): ReadonlySet<string> {
	const places = new Set<string>();
	for (const match of template.matchAll(/\{\{|\}\}|\{([^{}]*)\}|[{}]/g)) {
		if (match[0] === "{{" || match[0] === "}}") continue;
		const name = match[1];
		if (name === undefined || !/^[A-Za-z_]\w*$/.test(name)) {
			throw new RangeError(
				`shell template: ${match[0]} at character ${match.index + 1} is no place; a place is {name}, a literal brace is written twice: {{ or }}`,
			);
		}
		places.add(name);
	}
	return places;
}

function parametersOf(name: string, places: ReadonlySet<string>, args: readonly unknown[]): Record<string, unknown> {
	const [given = {}, ...more] = args;
	if (more.length > 0 || typeof given !== "object" || given === null || Array.isArray(given)) {
		throw new SerializationError(
			`${name}: a command takes one object with its parameters, not positional arguments`,
			"arguments",
		);
	}
	const parameters = given as Record<string, unknown>;
	const missing = [...places].filter((place) => parameters[place] === undefined);
	const unknown = Object.keys(parameters).filter((key) => !places.has(key));
	if (missing.length > 0 || unknown.length > 0) {
		const parts = [
			missing.length > 0 ? `no value for ${missing.map((each) => `{${each}}`).join(", ")}` : "",
			unknown.length > 0 ? `no place for ${unknown.join(", ")}` : "",
		];
		throw new SerializationError(
			`${name}: ${parts.filter((part) => part !== "").join("; ")} in the template`,
			"arguments[0]",
		);
	}
	for (const [key, value] of Object.entries(parameters)) {
		if (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean") {
			throw new SerializationError(`${name}: {${key}} must be a string, a number or a boolean`, `arguments[0].${key}`);
		}
	}
	return parameters;
}
