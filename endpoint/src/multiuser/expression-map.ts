/**
 * Identities to local names by rules of the field's `expression_identity_mapping#1.0.0`. Its `match` is not a regular
 * expression of JavaScript: it always means the whole text; only `. ? * | ( )` are special, and `\` takes that away from
 * one of them; every other character stands for itself, `^ $ + { } [ ]` too.
 */
import * as z from "zod";
import { type Identity, type MappedName, MappingFailure } from "./identity.ts";

const rule = z.looseObject({
	source: z.string(),
	match: z.string(),
	output: z.string(),
	ignore_case: z.boolean().default(false),
	literal: z.boolean().default(false),
});

export const expressionDocument = z.looseObject({
	DATA_TYPE: z.literal("expression_identity_mapping#1.0.0"),
	mappings: z.array(rule),
});

interface Rule {
	readonly source: string;
	readonly match: RegExp;
	readonly output: string;
}

/** What a `match` may not hold, and what is said about it. */
const refusals: readonly (readonly [pattern: RegExp, says: string])[] = [
	[/\\[^.?*|()\\0-9]|(?<!\\)(?:\\\\)*\\(?:[0-9]|$)/, "a backslash stands only before one of . ? * | ( ) \\"],
	[/[*?]\?/, '"*?" and "??" are not in the language of these rules'],
	[/^[*?]|(?<!\\)(?:\\\\)*[(|][*?]/, "there is nothing before it that could be repeated"],
];

const specialElsewhere = /[\^$+{}[\]/]/;
const statuses: ReadonlySet<string | undefined> = new Set(["used", "private"]);

/** The first group that is repeated and holds `*`, `?` or `|`, at any depth, or nothing; undefined when there is none. */
function endlessGroup(match: string): string | undefined {
	const open: { readonly at: number; endless: boolean }[] = [];
	for (let at = 0; at < match.length; at++) {
		const character = match.charAt(at);
		if (character === "\\") at++;
		else if (character === "(") open.push({ at, endless: match.charAt(at + 1) === ")" });
		else if ("*?|".includes(character)) for (const group of open) group.endless = true;
		else if (character === ")") {
			const group = open.pop();
			if (group?.endless && match.charAt(at + 1) === "*") return match.slice(group.at, at + 2);
		}
	}
	return undefined;
}

/**
 * The text between `^` and `$`. A group that may be empty loses a `?` behind it: the field says that such a group was
 * there and empty, JavaScript that it was not there.
 */
function patternOf(match: string): string {
	let pattern = "";
	/** Of each group that is open, the whole text first: whether one of its alternatives, and the one at hand, may be empty. */
	const open = [{ some: false, thisOne: true }];
	const follow = (empty: boolean): void => {
		const group = open.at(-1);
		if (group !== undefined) group.thisOne &&= empty;
	};
	for (let at = 0; at < match.length; at++) {
		const character = match.charAt(at);
		if (character === "(") open.push({ some: false, thisOne: true });
		else if (character === "|") open.push({ some: mayBeEmpty(open.pop()), thisOne: true });
		else if (character === ")") {
			const empty = mayBeEmpty(open.pop());
			// Not before another `*`: that is no rule, and must not become one.
			if (empty && /^\?(?![*?])/.test(match.slice(at + 1, at + 3))) at++;
			follow(empty || "*?".includes(match.charAt(at + 1) || "-"));
			pattern += character;
			continue;
		}
		if (character === "\\") pattern += character + match.charAt(++at);
		else if (character === ".") pattern += "[^\\n]";
		else pattern += specialElsewhere.test(character) ? `\\${character}` : character;
		if (!"(|*?".includes(character)) follow("*?".includes(match.charAt(at + 1) || "-"));
	}
	return pattern;
}

const mayBeEmpty = (group: { some: boolean; thisOne: boolean } | undefined): boolean =>
	group === undefined || group.some || group.thisOne;

/** Throws a MappingFailure that says what is wrong with it. */
function compile(match: string, ignoreCase: boolean, literal: boolean): RegExp {
	const flags = ignoreCase ? "iu" : "u";
	if (literal) return new RegExp(`^${match.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")}$`, flags);
	for (const [pattern, says] of refusals) {
		const found = pattern.exec(match);
		if (found) throw new MappingFailure(`match "${match}": ${JSON.stringify(found[0])}: ${says}`);
	}
	const endless = endlessGroup(match);
	if (endless !== undefined)
		throw new MappingFailure(
			`match "${match}": "${endless}": a group that is repeated may not hold * ? or | itself: matching it could take for ever`,
		);
	try {
		const pattern = patternOf(match);
		// By itself first: parentheses that do not pair must not pair with ours.
		new RegExp(pattern, flags);
		return new RegExp(`^(?:${pattern})$`, flags);
	} catch (cause) {
		throw new MappingFailure(`match "${match}": ${(cause as Error).message}`, { cause });
	}
}

/**
 * Puts properties of the identity, and groups of the match by their number from 0, in the place of what stands in
 * braces; a backslash before the brace takes that away. What is put in is never looked at again.
 */
function interpolate(text: string, identity: Identity, groups: readonly (string | undefined)[] = []): string {
	return text.replace(/(?<!\\)((?:\\\\)*)\{([^}]*)\}/g, (_, before: string, name: string) => {
		const value = /^\d+$/.test(name)
			? groups[Number(name)]
			: Object.hasOwn(identity, name)
				? identity[name]
				: undefined;
		if (typeof value !== "string")
			throw new MappingFailure(`"${text}" asks for {${name}}, which identity ${identity.id} does not have`);
		return before + value;
	});
}

/** Throws a MappingFailure for a rule that is wrong. */
export function compileRules({ mappings }: z.output<typeof expressionDocument>): readonly Rule[] {
	return mappings.map(({ source, match, output, ignore_case, literal }) => ({
		source,
		match: compile(match, ignore_case, literal),
		output,
	}));
}

/**
 * Every match, rule after rule, each over all identities. Throws a MappingFailure when a rule asks an identity for
 * something that it lacks: then this mapper maps nobody, as in the field.
 */
export function applyRules(rules: readonly Rule[], identities: readonly Identity[]): MappedName[] {
	return rules.flatMap(({ source, match, output }) =>
		identities
			.filter(({ status }) => statuses.has(status))
			.flatMap((identity) => {
				const found = match.exec(interpolate(source, identity));
				return found ? [{ identityId: identity.id, localName: interpolate(output, identity, found.slice(1)) }] : [];
			}),
	);
}
