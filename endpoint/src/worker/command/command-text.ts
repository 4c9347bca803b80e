/** A command template and its values → the text for the shell. */
import { Fault } from "@errand/proto/fault";

/** Safe as one word of a POSIX shell, whatever it holds. */
export function quote(word: string): string {
	return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}

/**
 * Each `{name}` becomes the shell-quoted value of that name (a list becomes one word an item); `{{` and `}}` are braces.
 * Throws a Fault ARGUMENTS_NOT_DECODED that names what is missing or cannot be a word.
 */
export function fillTemplate(template: string, values: Readonly<Record<string, unknown>>): string {
	const missing = new Set<string>();
	const text = template.replace(/\{\{|\}\}|\{([A-Za-z_]\w*)\}/g, (whole, name: string | undefined) => {
		if (name === undefined) return whole.charAt(0);
		if (!Object.hasOwn(values, name)) missing.add(name);
		return words(name, values[name]);
	});
	if (missing.size > 0)
		throw new Fault(
			"ARGUMENTS_NOT_DECODED",
			`the command needs a value for ${[...missing].join(", ")}; given: ${Object.keys(values).join(", ") || "nothing"}`,
		);
	return text;
}

function words(name: string, value: unknown): string {
	if (Array.isArray(value)) return value.map((item) => words(name, item)).join(" ");
	if (value === null || value === undefined) return "''";
	const word = typeof value === "object" ? JSON.stringify(value) : String(value);
	if (word.includes("\0"))
		throw new Fault("ARGUMENTS_NOT_DECODED", `the value for ${name} holds a NUL character, which no command can take`);
	return quote(word);
}
