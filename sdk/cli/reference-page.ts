/** `docs/command-line.md`, made from the table of verbs: what is written there is what is typed. */
import { exitCodes } from "./exit-code.ts";
import type { Groups } from "./program.ts";
import type { ArgumentRow, Verb } from "./verb.ts";

const introduction = `# The command line

\`errand\` is what you type; in a clone \`npx errand\`, or put \`node_modules/.bin\` on your path
([getting started](getting-started.md)). This page is made from the program's own table of verbs.

Every verb has these options besides its own:

| option | |
| --- | --- |
| \`--json\` | the result as JSON, on stdout; an error as one JSON line on stderr |
| \`-q, --quiet\` | ids only, one a line, for other commands |
| \`--debug\` | show stack traces of errors |
| \`-h, --help\` | show help, with an example |

A task is given by its id, by four or more of its first characters, or as \`last\`: the one that you submitted most
recently. An endpoint or a function goes by its id or its name. Colours are left out when the output is not a terminal,
and with \`NO_COLOR\`.

| variable | meaning |
| --- | --- |
| \`ERRAND_HOME\` | where logins, endpoints and a cloud of this machine are kept; \`~/.errand\` |
| \`ERRAND_ENDPOINT\` | the endpoint of \`errand run\` without \`-e\` |
| \`ERRAND_CLOUD_URL\` | the cloud, instead of the one that was logged in to last |
| \`ERRAND_TOKEN\` | a token for \`ERRAND_CLOUD_URL\`, instead of a login: for programs |
`;

/** Markdown, not yet aligned: tables are written without padding. */
export function referencePage(verbs: readonly Verb[], groups: Groups): string {
	const shown = new Set<string>();
	const sections = verbs.map((verb) => {
		const group = verb.name.split(" ").slice(0, -1).join(" ");
		const heading = group === "" || shown.has(group) ? "" : `## ${groups[group]}\n\n`;
		shown.add(group);
		return heading + section(verb, group === "" ? "##" : "###");
	});
	const statuses = Object.values(exitCodes).map(({ status, meaning }) => `| ${status} | ${meaning} |`);
	const exits = ["## Exit status", "", "| status | meaning |", "| --- | --- |", ...statuses, ""].join("\n");
	return [introduction, ...sections, exits].join("\n");
}

function section(verb: Verb, mark: string): string {
	const words = (verb.arguments ?? []).map(argumentWord);
	const usage = ["errand", verb.name, ...((verb.options ?? []).length > 0 ? ["[options]"] : []), ...words].join(" ");
	const rows = [
		...(verb.arguments ?? []).map(({ name, summary }) => `| \`${name}\` | ${cell(summary)} |`),
		...(verb.options ?? []).map(
			({ flags, summary, choices }) =>
				`| \`${flags}\` | ${cell(summary)}${choices ? `: ${choices.map((word) => `\`${word}\``).join(", ")}` : ""} |`,
		),
	];
	const table = rows.length > 0 ? ["| | |", "| --- | --- |", ...rows, ""] : [];
	const examples = verb.examples.flatMap(([command, says]) => [`$ ${command}`, `    ${says}`]);
	return [
		`${mark} errand ${verb.name}`,
		"",
		`${verb.summary}.`,
		"",
		"```text",
		`${usage}${verb.takesRest ? " [-- command...]" : ""}`,
		"```",
		"",
		...table,
		"```text",
		...examples,
		"```",
		"",
	].join("\n");
}

function argumentWord({ name, takes = "one" }: ArgumentRow): string {
	const forms = { one: `<${name}>`, optional: `[${name}]`, many: `<${name}...>`, any: `[${name}...]` };
	return forms[takes];
}

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
