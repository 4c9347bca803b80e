/** What we know of a site: a file of `deploy/sites`. Its `config` becomes the `config.yaml` of an endpoint there. */
import { type Document, isMap, isNode, LineCounter, parseDocument, type YAMLMap } from "yaml";
import * as z from "zod";

/** An answer that makes no sense, or one that is missing; a site that nobody has described. */
export class AnswerFault extends Error {
	override readonly name = "AnswerFault";
}

const sentence = z.string().min(1).max(1000);

const question = z.strictObject({
	/** The setting of config.yaml; `kubernetes.image` is one inside another. */
	setting: z.string().regex(/^[a-z_]+(\.[a-z_]+)?$/),
	question: sentence,
	/** For the golden files and the documentation. */
	example: z.string().min(1).optional(),
	/** Known words for it; others are taken, too. */
	choices: z.array(z.string()).default([]),
	/** Without an answer the setting is left out. */
	optional: z.boolean().default(false),
	/** The answer is a line of another setting instead, in place of `{}`. */
	becomes: z.strictObject({ setting: z.string().regex(/^[a-z_]+$/), line: z.string().includes("{}") }).optional(),
});
export type SiteQuestion = Readonly<z.output<typeof question>>;

const siteFile = z.strictObject({
	title: sentence,
	facility: sentence,
	documentation: z.url(),
	/** Where the values come from. */
	sources: z.array(sentence).min(1),
	/** Names of login nodes; `*` is anything. */
	hosts: z.array(z.string().regex(/^[\w.*-]+$/)).default([]),
	/** Environment variables that are only so on this site. */
	variables: z.record(z.string(), z.string()).default({}),
	/** The network interface that nodes reach a login node by. */
	interface: z.string().optional(),
	notes: z.array(sentence).default([]),
	ask: z.array(question).default([]),
	config: z.record(z.string(), z.unknown()),
});

export interface Site extends Readonly<Omit<z.output<typeof siteFile>, "config">> {
	/** The file's name without its ending. */
	readonly name: string;
	/** With its comments; an empty value is one that only the person knows. */
	readonly config: YAMLMap;
}

/** `name` is the site's, `file` is for messages. Throws an Error that says what is wrong with the file, and where. */
export function parseSite(name: string, text: string, file: string): Site {
	const lines = new LineCounter();
	const parsed = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
	const [broken] = parsed.errors;
	if (broken) throw new Error(`${file} is no YAML: line ${broken.linePos?.[0].line ?? "?"}: ${broken.message}`);
	const read = siteFile.safeParse(parsed.toJS());
	if (!read.success) {
		const faults = read.error.issues.map(
			(issue) => `${issue.path.join(".")}: ${issue.message}${lineOf(parsed, lines, issue.path)}`,
		);
		throw new Error(`${file} is no description of a site: ${faults.join("; ")}`);
	}
	const config = parsed.get("config", true);
	if (!isMap(config)) throw new Error(`${file}: config is no map of settings`);
	const { config: values, ...rest } = read.data;
	const empty = emptySettings(values);
	const unasked = empty.filter((setting) => !rest.ask.some((asked) => asked.setting === setting));
	if (unasked.length > 0)
		throw new Error(`${file}: config leaves ${unasked.join(", ")} open, and ask does not ask for it`);
	return { ...rest, name, config };
}

function lineOf(document: Document, lines: LineCounter, path: readonly PropertyKey[]): string {
	const node = document.getIn(path, true);
	return isNode(node) && node.range ? ` (line ${lines.linePos(node.range[0]).line})` : "";
}

/** Settings without a value, `a.b` for one inside another. */
export function emptySettings(values: Readonly<Record<string, unknown>>): string[] {
	return Object.entries(values).flatMap(([name, value]) => {
		if (value === null) return [name];
		if (typeof value !== "object" || Array.isArray(value)) return [];
		return emptySettings(value as Record<string, unknown>).map((inner) => `${name}.${inner}`);
	});
}

/** Whether this machine is one of the site's login nodes. */
export function isHere(site: Site, here: { hostname: string; environment: NodeJS.ProcessEnv }): boolean {
	const variables = Object.entries(site.variables);
	if (variables.length > 0 && variables.every(([name, value]) => here.environment[name] === value)) return true;
	return site.hosts.some((pattern) => {
		const expression = new RegExp(`^${pattern.replaceAll(".", "\\.").replaceAll("*", ".*")}$`, "i");
		return expression.test(here.hostname) || expression.test(here.hostname.split(".")[0] as string);
	});
}
