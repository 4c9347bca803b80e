/** The table of verbs as a commander program. */
import { Command, CommanderError, Option } from "commander";
import { Complaint } from "./complaint.ts";
import { exitCodes } from "./exit-code.ts";
import type { Mode } from "./screen.ts";
import type { ArgumentRow, Verb } from "./verb.ts";

/** What was typed, understood. */
export interface Invocation {
	verb: Verb;
	typed: Record<string, unknown>;
	mode: Mode;
	debug: boolean;
}

export interface Groups {
	readonly [name: string]: string;
}

const placeholders: Record<NonNullable<ArgumentRow["takes"]>, (name: string) => string> = {
	one: (name) => `<${name}>`,
	optional: (name) => `[${name}]`,
	many: (name) => `<${name}...>`,
	any: (name) => `[${name}...]`,
};

/**
 * Reads a command line. Undefined: help or the version was asked for and has been printed. A Complaint when it makes
 * no sense.
 */
export function understand(
	argv: readonly string[],
	table: { verbs: readonly Verb[]; groups: Groups; version: string },
	print: { out: (text: string) => void; columns: number },
): Invocation | undefined {
	let understood: Invocation | undefined;
	const dash = argv.indexOf("--");
	const first = table.verbs.find((verb) => verb.name === argv.find((word) => !word.startsWith("-")));
	const takesRest = first?.takesRest === true && dash >= 0;
	const words = takesRest ? argv.slice(0, dash) : argv;
	const rest = takesRest ? argv.slice(dash + 1) : undefined;

	const dress = (command: Command): Command =>
		command
			.exitOverride()
			.configureOutput({
				writeOut: print.out,
				writeErr: () => undefined,
				getOutHelpWidth: () => print.columns,
				getOutHasColors: () => false,
			})
			.helpOption("-h, --help", "show help")
			.helpCommand(false)
			// What stands behind `transfer list` belongs to that, not to `transfer`.
			.enablePositionalOptions()
			.showSuggestionAfterError(true);

	const program = dress(new Command("errand"))
		.description("Run functions on supercomputers and get their results back.")
		.version(table.version, "-V, --version", "print the version")
		.addHelpText("after", () => `\nExit status:\n${exitTable()}\n\nMore: errand VERB --help`);
	const groups = new Map<string, Command>([["", program]]);
	/** The group of this name, made with the groups around it when it is not there yet. */
	const groupOf = (path: readonly string[]): Command => {
		const groupName = path.join(" ");
		const known = groups.get(groupName);
		if (known) return known;
		const group = dress(groupOf(path.slice(0, -1)).command(path.at(-1) as string));
		groups.set(groupName, group.description(table.groups[groupName] ?? ""));
		return group;
	};
	for (const verb of table.verbs) {
		const path = verb.name.split(" ");
		const name = path.pop() as string;
		const parent = groupOf(path);
		const command = dress(parent.command(name)).description(verb.summary);
		// `transfer` is a verb, and `transfer list` another.
		groups.set(verb.name, command);
		for (const argument of verb.arguments ?? [])
			command.argument(placeholders[argument.takes ?? "one"](argument.name), argument.summary);
		for (const row of verb.options ?? []) {
			const option = new Option(row.flags, row.summary);
			if (row.repeats) option.argParser<string[]>((value, earlier) => [...(earlier ?? []), value]);
			command.addOption(row.choices ? option.choices([...row.choices]) : option);
		}
		command.addOption(new Option("--json", jsonSummaries[verb.json]).conflicts("quiet"));
		command.option("-q, --quiet", "print ids only");
		command.option("--debug", "show stack traces of errors");
		command.addHelpText("after", () => `\nExamples:\n${exampleText(verb)}`);
		command.action(() => {
			const { json, quiet, debug, ...options } = command.opts();
			const typed: Record<string, unknown> = { ...options, ...(rest && { rest }) };
			for (const [at, argument] of (verb.arguments ?? []).entries()) {
				const value: unknown = command.processedArgs[at];
				if (value !== undefined) typed[camel(argument.name)] = value;
			}
			understood = { verb, typed, mode: json ? "json" : quiet ? "quiet" : "table", debug: debug === true };
		});
	}
	try {
		program.parse([...words], { from: "user" });
	} catch (error) {
		if (!(error instanceof CommanderError)) throw error;
		if (error.exitCode === 0) return undefined;
		throw usageComplaint(error, words, table.verbs);
	}
	return understood;
}

const jsonSummaries = { document: "print one JSON document", lines: "print JSON, one value a line" } as const;

const camel = (name: string): string => name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());

function exampleText(verb: Verb): string {
	return verb.examples.map(([command, says]) => `  $ ${command}\n      ${says}`).join("\n");
}

function exitTable(): string {
	return Object.values(exitCodes)
		.map(({ status, meaning }) => `  ${String(status).padStart(3)}  ${meaning}`)
		.join("\n");
}

function usageComplaint(error: CommanderError, words: readonly string[], verbs: readonly Verb[]): Complaint {
	const typed = words.filter((word) => !word.startsWith("-"));
	/** The words that name a verb or a group. */
	const path = typed.filter((_, at) => {
		const start = `${typed.slice(0, at + 1).join(" ")} `;
		return verbs.some(({ name }) => `${name} `.startsWith(start));
	});
	const next = ["errand", ...path, "--help"].join(" ");
	if (error.code === "commander.help") {
		const group = path.map((word) => `${word} `).join("");
		const known = verbs.filter(({ name }) => name.startsWith(group)).map(({ name }) => name.slice(group.length));
		const message = group === "" ? "errand needs a verb" : `errand ${group}needs one of: ${known.join(", ")}`;
		return new Complaint("usage", message, { next });
	}
	return new Complaint("usage", error.message.replace(/^error: /, "").replace(/\s*\n\s*/g, " "), { next });
}
