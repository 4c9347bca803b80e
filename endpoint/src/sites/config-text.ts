/** The `config.yaml` of an endpoint, from what is known of its site and what the person answered. Text in, text out. */
import { Document, parse, type Scalar, type YAMLMap, type YAMLSeq } from "yaml";
import { ConfigFault, parseConfig, settingNames } from "../config/config.ts";
import { AnswerFault, emptySettings, type Site } from "./site.ts";

/** By setting, as they were typed. */
export type Answers = Readonly<Record<string, string>>;

/**
 * What it returns is a configuration that the daemon takes.
 * @param name the endpoint's
 * @param directory the endpoint's
 * Throws an {@link AnswerFault}.
 */
export function configText(
	site: Site,
	answers: Answers,
	{ name, directory }: { name: string; directory: string },
): string {
	const document = new Document(site.config.clone() as YAMLMap);
	document.commentBefore = header(site, name);
	for (const [setting, typed] of Object.entries(answers)) {
		const becomes = site.ask.find((question) => question.setting === setting)?.becomes;
		if (becomes === undefined) answer(document, setting, typed);
		else if (typed !== "") addLine(document, becomes.setting, becomes.line, typed);
	}
	dropOpen(document, site, answers);
	if (site.interface !== undefined && answers.link_addresses === undefined) {
		const pair = document.createPair<Scalar, YAMLSeq>("link_addresses", [site.interface]);
		pair.key.commentBefore = " The interface of this machine that nodes reach it by.";
		if (pair.value) pair.value.flow = true;
		document.add(pair);
	}
	return checkedText(document, directory);
}

/** A document that nobody has described, with the answers in it. Throws an {@link AnswerFault}. */
export function plainConfigText(answers: Answers, directory: string): string {
	const document = new Document({});
	for (const [setting, typed] of Object.entries(answers)) answer(document, setting, typed);
	return checkedText(document, directory);
}

function checkedText(document: Document, directory: string): string {
	const text = document.toString({ lineWidth: 0, flowCollectionPadding: false });
	try {
		parseConfig(text, "config.yaml", directory);
	} catch (error) {
		if (error instanceof ConfigFault) throw new AnswerFault(error.faults.join("; "), { cause: error });
		throw error;
	}
	return text;
}

function header(site: Site, name: string): string {
	const lines = [
		`Settings of the endpoint "${name}", for ${site.title} (${site.facility}).`,
		"The endpoint reads this file when it starts. Every setting is in Errand's docs/endpoint.md.",
		...(site.notes.length > 0 ? ["", ...site.notes] : []),
	];
	return lines.map((line) => (line === "" ? "" : ` ${line}`)).join("\n");
}

/** Queue and partition are two words for one thing: an answer goes where the configuration has either. */
const twins: Readonly<Record<string, string>> = { queue: "partition", partition: "queue" };

function answer(document: Document, typedSetting: string, typed: string): void {
	const twin = twins[typedSetting];
	const setting = twin !== undefined && document.has(twin) ? twin : typedSetting;
	const path = setting.split(".");
	if (!settingNames.includes(path[0] as string))
		throw new AnswerFault(`${setting}: there is no such setting. There are ${settingNames.join(", ")}`);
	if (typed === "") document.deleteIn(path);
	else document.setIn(path, path.length > 1 ? typed : meaningOf(setting, typed));
}

/** The text itself where the setting takes text, otherwise what the text means in YAML. */
function meaningOf(setting: string, typed: string): unknown {
	let meant: unknown;
	try {
		meant = parse(typed);
	} catch {
		return typed;
	}
	if (typeof meant === "string" || meant === null) return typed;
	return isOfKind(setting, meant) || !isOfKind(setting, typed) ? meant : typed;
}

function addLine(document: Document, setting: string, line: string, typed: string): void {
	if (/["\n\r]/.test(typed)) throw new AnswerFault(`${JSON.stringify(typed)}: a word without quotes and line ends`);
	const before: unknown = document.get(setting);
	document.set(setting, `${typeof before === "string" ? before : ""}${line.replace("{}", () => typed)}\n`);
}

function isOfKind(setting: string, value: unknown): boolean {
	try {
		parseConfig(new Document({ scheduler: "slurm", [setting]: value }).toString(), "config.yaml", "/");
		return true;
	} catch (error) {
		const about = new RegExp(`^(line \\d+: )?${setting}[:.]`);
		return error instanceof ConfigFault && !error.faults.some((fault) => about.test(fault));
	}
}

/** What nobody answered: an error when it must be known, otherwise a comment. */
function dropOpen(document: Document, site: Site, answers: Answers): void {
	const missing = site.ask
		.filter(({ becomes, optional, setting }) => becomes !== undefined && !optional && (answers[setting] ?? "") === "")
		.map(({ setting, question }) => `${setting} (${question})`);
	const left: string[] = [];
	for (const setting of emptySettings(document.toJS() as Record<string, unknown>)) {
		const asked = site.ask.find((question) => question.setting === setting);
		if (asked?.optional === false) missing.push(`${setting} (${asked.question})`);
		if (asked?.optional) left.push(` ${setting}: ${asked.example ?? ""}   # ${asked.question}`);
		document.deleteIn(setting.split("."));
	}
	if (missing.length > 0) throw new AnswerFault(`not said: ${missing.join(", ")}`);
	if (left.length > 0) document.comment = [" Not said; take the # away and fill it in:", ...left].join("\n");
}

/** What the configuration says of a setting before anybody has answered; undefined when it says nothing. */
export function presetValue(site: Site, setting: string): string | undefined {
	const value: unknown = site.config.getIn(setting.split("."));
	if (value === undefined || value === null) return undefined;
	return typeof value === "object" ? JSON.stringify((value as { toJSON(): unknown }).toJSON()) : String(value);
}
