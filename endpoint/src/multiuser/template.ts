/**
 * The template language of the field, Jinja, by nunjucks. A template is its administrator's code; people who ask for an
 * endpoint bring only values, and those arrive here quoted.
 */
import { realpathSync } from "node:fs";
import { resolve, sep } from "node:path";
import { Fault } from "@errand/proto";
import nunjucks from "nunjucks";
import { ConfigFault } from "../config/config.ts";
import { shellEscape } from "./quoted-values.ts";
import { readTrustedFile } from "./trusted-file.ts";

/** `None`, `True`, `False`, slices, and the methods of Python's lists and dictionaries; for the whole process. */
nunjucks.installJinjaCompat();

/** Finds what a template includes, extends or imports. Throws when there is no such file. */
export type Includes = (name: string) => string;

/** Files of a directory, which no name leads out of. */
export function includesOf(directory: string): Includes {
	return (name) => {
		const root = realpathSync(directory);
		const path = realpathSync(resolve(root, name));
		if (!path.startsWith(root + sep)) throw new Error(`${name} is outside of the template's directory`);
		return readTrustedFile(path).text;
	};
}

class IncludesLoader extends nunjucks.Loader {
	readonly #includes: Includes;

	constructor(includes: Includes) {
		super();
		this.#includes = includes;
	}

	getSource(name: string): nunjucks.LoaderSource {
		return { src: this.#includes(name), path: name, noCache: true };
	}
}

/** nunjucks says where, on lines of its own. */
const oneLine = (message: string): string => message.replace(/^\(unknown path\)\s*/, "").replace(/\s*\n\s*/g, " ");

/**
 * @param file for messages
 * Throws a {@link ConfigFault} when the template is not one, and a SEMANTICALLY_INVALID fault when it does not go with
 * the values: one is missing, or a filter does not take it.
 */
export function renderTemplate(
	text: string,
	values: Readonly<Record<string, unknown>>,
	{ file, includes }: { readonly file: string; readonly includes: Includes },
): string {
	const environment = new nunjucks.Environment(new IncludesLoader(includes), {
		autoescape: false,
		throwOnUndefined: true,
	});
	environment.addFilter("shell_escape", shellEscape);
	environment.addFilter("tojson", (value: unknown) => JSON.stringify(value));
	let template: nunjucks.Template;
	try {
		template = new nunjucks.Template(text, environment, undefined, true);
	} catch (cause) {
		throw new ConfigFault(file, [oneLine((cause as Error).message)]);
	}
	try {
		return template.render(values);
	} catch (cause) {
		const says = oneLine((cause as Error).message);
		throw new Fault(
			"SEMANTICALLY_INVALID",
			/undefined value/.test(says)
				? `the endpoint's template uses a value that was not given (${says}): add it to the user endpoint configuration`
				: `the endpoint's template cannot be filled in with these values: ${says}`,
			{ cause },
		);
	}
}
