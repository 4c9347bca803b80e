/** The documentation's page of a site, made of its preset. `npx vitest run --project endpoint endpoint/src/sites -u` writes the pages. */
import { presetValue } from "./config-text.ts";
import type { Site, SiteQuestion } from "./site.ts";

const flags: Readonly<Record<string, string>> = {
	account: "--account",
	queue: "--queue",
	partition: "--queue",
	walltime: "--walltime",
};

const flagOf = ({ setting }: SiteQuestion): string => flags[setting] ?? `--set ${setting}=…`;

/** What has to be said on the command line, with the examples. */
function words(site: Site): string {
	return site.ask
		.filter(
			({ example, optional, setting }) =>
				example !== undefined && !optional && presetValue(site, setting) === undefined,
		)
		.map(({ setting, example }) => (flags[setting] ? ` ${flags[setting]} ${example}` : ` --set ${setting}=${example}`))
		.join("");
}

function row(site: Site, asked: SiteQuestion): string {
	const value = presetValue(site, asked.setting);
	const unless = value === undefined ? (asked.optional ? "left out" : "must be said") : `\`${value}\``;
	const known = asked.choices.length > 0 ? ` (${asked.choices.map((choice) => `\`${choice}\``).join(", ")})` : "";
	return `| \`${flagOf(asked)}\` | ${asked.question}${known} | ${unless} |`;
}

/** `script` is undefined where a block is no batch script. */
export function sitePage(site: Site, config: string, script: string | undefined): string {
	const scheduler = presetValue(site, "scheduler");
	const parts = [
		`# ${site.title}`,
		`${site.facility}. Its own documentation: <${site.documentation}>. Scheduler: [${scheduler}](../schedulers/${scheduler}.md).`,
		[
			"```text",
			`errand endpoint configure ${site.name}${words(site)}`,
			`errand endpoint doctor ${site.name} --canary`,
			`errand endpoint start ${site.name} --detach`,
			"```",
		].join("\n"),
		`The name of the endpoint selects the preset; an endpoint of another name takes it with \`--site ${site.name}\`${knownBy(site)}. At a terminal you are asked; what you say with an option is not asked:`,
		["| option | what | unless said |", "| --- | --- | --- |", ...site.ask.map((asked) => row(site, asked))].join("\n"),
		...(site.notes.length > 0 ? [site.notes.map((note) => `- ${note}`).join("\n")] : []),
		"## What is written",
		"With the examples above as answers. It is yours to edit: every setting is in [Endpoints](../endpoint.md#settings).",
		`\`\`\`yaml\n${config.trimEnd()}\n\`\`\``,
		...(script === undefined
			? []
			: ["## What is submitted", "For one block, exactly:", `\`\`\`text\n${script.trimEnd()}\n\`\`\``]),
		"## Where the values come from",
		site.sources.map((source) => `- ${source}`).join("\n"),
		"Sites change. When something here is not true any more, `errand endpoint doctor --canary` says so in the scheduler's own words; please tell us.",
	];
	return `${parts.join("\n\n")}\n`;
}

function knownBy({ hosts, variables }: Site): string {
	const signs = [
		...hosts.map((host) => `\`${host}\``),
		...Object.entries(variables).map(([name, value]) => `\`${name}=${value}\``),
	];
	return signs.length === 0 ? "" : `, or by itself on its login nodes (${signs.join(", ")})`;
}

/** The list of all sites. */
export function sitesIndex(sites: readonly Site[]): string {
	return `${[
		"# Sites",
		"What is needed to run an endpoint on these machines is known; `errand endpoint configure NAME` with one of these names asks for the rest. On any other machine it asks the scheduler that answers there.",
		[
			"| name | machine | scheduler |",
			"| --- | --- | --- |",
			...sites.map(
				(site) =>
					`| [${site.name}](${site.name}.md) | ${site.title}, ${site.facility} | \`${presetValue(site, "scheduler")}\` |`,
			),
		].join("\n"),
		"## A site of your own",
		"A preset is one file, like those in [deploy/sites](../../deploy/sites). `errand endpoint configure NAME --site ./ours.yaml` takes it; a facility puts its files into a directory and sets `ERRAND_SITES` to it for everybody.",
		'```yaml\ntitle: Our cluster\nfacility: Our university\ndocumentation: https://cluster.example.org/\nsources: [the people who run it]\n# Names of login nodes, by which the preset is found without being named.\nhosts: ["login*.cluster.example.org"]\n# The network that nodes reach login nodes by.\ninterface: ib0\nnotes:\n  - Jobs in the short queue start at once.\nask:\n  - setting: account\n    question: Group that pays\n    example: physics\n  - setting: partition\n    question: Partition\n    choices: [short, long]\nconfig:\n  scheduler: slurm\n  # Left empty: only the person knows it.\n  account:\n  partition: short\n  walltime: 30m\n```',
	].join("\n\n")}\n`;
}
