/** What `FILE:NAME` and a command line after `--` mean, as functions of the SDK. */
import { existsSync } from "node:fs";
import { extname, resolve } from "node:path";
import { module, python, type RemoteFunction, shell } from "../src/index.ts";
import { Complaint } from "./complaint.ts";

type AnyFunction = RemoteFunction<readonly unknown[], unknown>;

const makers: Readonly<Record<string, (file: string, name: string) => AnyFunction>> = {
	".py": (file, name) => python({ file, name }),
	".ts": (file, name) => module({ file, name }),
	".mts": (file, name) => module({ file, name }),
	".js": (file, name) => module({ file, name }),
	".mjs": (file, name) => module({ file, name }),
};

/** Undefined when the text is not `FILE:NAME`; a Complaint when the file is missing or of no known language. */
export function functionInFile(text: string, workingDirectory: string): AnyFunction | undefined {
	const colon = text.lastIndexOf(":");
	if (colon < 1) return undefined;
	const [path, name] = [text.slice(0, colon), text.slice(colon + 1)];
	const file = resolve(workingDirectory, path);
	const make = makers[extname(file)];
	if (!make)
		throw new Complaint("usage", `${path}: its language is unknown; known are ${Object.keys(makers).join(", ")}`);
	if (!existsSync(file)) throw new Complaint("usage", `${path} does not exist`);
	if (name === "") throw new Complaint("usage", `${text} names no function`, { next: `write ${path}:NAME` });
	return make(file, name);
}

/**
 * The words after `--` as a command: one word is a line for the shell, as it stands; several are a program and its
 * arguments, each kept as one word.
 */
export function commandOf(words: readonly string[], walltimeMs: number | undefined): AnyFunction {
	const line = words.length === 1 ? (words[0] as string) : words.map(quoteWord).join(" ");
	if (line.trim() === "") throw new Complaint("usage", "there is no command after --", { next: "errand run --help" });
	const name = line.trim().split(/\s+/)[0] as string;
	return shell(escapeBraces(line), { name, ...(walltimeMs !== undefined && { walltimeMs }) }) as AnyFunction;
}

/** In a command template a brace is written twice. */
export function escapeBraces(line: string): string {
	return line.replace(/[{}]/g, "$&$&");
}

/** One word for a POSIX shell, whatever it contains. */
export function quoteWord(word: string): string {
	return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** `[1, "a"]` → its items; nothing → no arguments. A Complaint when it is not a JSON array. */
export function jsonArguments(text: string | undefined): unknown[] {
	if (text === undefined) return [];
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch (cause) {
		throw new Complaint("usage", `the arguments are not JSON: ${(cause as Error).message}`, {
			next: `write them as one array: '[1, "two"]'`,
		});
	}
	if (Array.isArray(value)) return value;
	throw new Complaint("usage", "the arguments must be one JSON array, an item for each argument", {
		next: `for one argument write '[${text.length < 40 ? text : "…"}]'`,
	});
}
