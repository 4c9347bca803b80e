/** Our identity maps beside those of Globus Compute's endpoint: the same documents and identities, asked of both. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConfigFault } from "../../endpoint/src/config/config.ts";
import { type Identity, identitySet, MappingProgramFailure } from "../../endpoint/src/multiuser/identity.ts";
import { parseIdentityMap } from "../../endpoint/src/multiuser/identity-map.ts";
import { silentLogger } from "../../endpoint/src/service/logger.ts";
import { globusEndpointPackage } from "../harness/globus-endpoint.ts";
import { type PythonEnvironment, pythonEnvironment } from "../harness/python.ts";

const program = fileURLToPath(new URL("./identity_maps.py", import.meta.url));
const endpointId = "7b1f9e54-2f0c-4f0e-9c39-0a4a4d2a4b11";

interface Question {
	readonly document: readonly object[];
	readonly identities: readonly Identity[];
}

/** An account, or why there is none. */
type Answer = { readonly name: string; readonly id: string } | { readonly nobody: true } | { readonly refused: string };

let python: PythonEnvironment;
let directory: string;
beforeAll(async () => {
	directory = mkdtempSync(join(tmpdir(), "errand-maps-"));
	python = await pythonEnvironment([globusEndpointPackage], { everybody: true });
}, 400_000);
afterAll(async () => {
	if (directory) rmSync(directory, { recursive: true, force: true });
	await python?.remove();
});

/** The peer's answers, by one process. */
async function theirs(questions: readonly Question[]): Promise<Answer[]> {
	const answered = Promise.withResolvers<string>();
	const options = { maxBuffer: 64 * 1024 * 1024, timeout: 100_000 };
	const child = execFile(python.python, [program, endpointId], options, (error, stdout, stderr) =>
		error ? answered.reject(new Error(`${error.message}\n${stderr}`)) : answered.resolve(stdout),
	);
	child.stdin?.end(questions.map((question) => `${JSON.stringify(question)}\n`).join(""));
	const answers = (await answered.promise).trim().split("\n");
	expect(answers).toHaveLength(questions.length);
	return answers.map((line) => JSON.parse(line) as Answer);
}

async function ours({ document, identities }: Question): Promise<Answer> {
	try {
		const map = parseIdentityMap(JSON.stringify(document), "identity_mapping.json", endpointId, silentLogger);
		const found = await map.map(identitySet.parse(identities));
		return found === undefined ? { nobody: true } : { name: found.localName, id: found.identityId };
	} catch (error) {
		if (error instanceof ConfigFault) return { refused: error.message };
		// Here it is told apart from a program that knows nobody.
		if (error instanceof MappingProgramFailure) return { nobody: true };
		throw error;
	}
}

/** What both do with a question: a refusal's words are each one's own. */
const outcome = (answer: Answer): object => ("refused" in answer ? { refused: true } : answer);

const rules = (...mappings: readonly object[]): object => ({
	DATA_TYPE: "expression_identity_mapping#1.0.0",
	mappings,
});
const rule = (match: string, more: object = {}): object => ({ source: "{username}", match, output: "{0}", ...more });
const ada = (username: string, more: object = {}): Identity => ({
	id: "9cf5a1d2-41c4-4925-b0bb-f5e0a16c98ab",
	username,
	email: "ada@mail.example.org",
	status: "used",
	...more,
});
const bob = ada("bob@example.com", { id: "67c31064-1e5f-4d78-b687-5fbea3d3e05a", status: "private" });

/** Of both, in one go; the same length. */
async function both(questions: readonly Question[]): Promise<readonly { ours: Answer; theirs: Answer }[]> {
	const [here, there] = await Promise.all([Promise.all(questions.map(ours)), theirs(questions)]);
	return here.map((answer, at) => ({ ours: answer, theirs: there[at] as Answer }));
}

/** A mapping program that says this and ends so. */
function programThat(name: string, says: string, status = 0): object {
	const path = join(directory, name);
	writeFileSync(`${path}.out`, says);
	writeFileSync(
		path,
		`#!/bin/sh\ncat > ${path}.in\nprintf '%s\\n' "$@" > ${path}.words\ncat ${path}.out\nexit ${status}\n`,
		{
			mode: 0o755,
		},
	);
	return { DATA_TYPE: "external_identity_mapping#1.0.0", command: [path, "--gridmap", 7] };
}
const said = (...result: readonly object[]): string =>
	JSON.stringify({ DATA_TYPE: "identity_mapping_output#1.0.0", result });

const nobody = { nobody: true };
const refused = { refused: true };
const as = (name: string, { id } = ada("")): object => ({ name, id });

type Piece = readonly [pattern: string, text: string];
const pieces = (...some: readonly Piece[]): fc.Arbitrary<Piece> => fc.constantFrom(...some);
/** Pieces of a rule, with what a name may have there. */
const piece = fc.oneof(
	{ arbitrary: pieces(["a", "a"], ["@", "@"], [".", "x"], ["\\.", "."], ["(.*)", "ab"], ["(a|b)", "b"]), weight: 9 },
	{
		arbitrary: pieces([".*", ""], ["(a)", "a"], ["é", "É"], ["A", "a"], ["a?", ""], ["a*", "aa"], ["(ab)?", ""]),
		weight: 4,
	},
	{
		arbitrary: pieces(["(ab)*", "abab"], ["\\(", "("], ["\\\\", "\\"], ["\\*", "*"], ["^", "^"], ["$", "$"]),
		weight: 2,
	},
	{
		arbitrary: pieces(["+", "+"], ["{2}", "{2}"], ["[a]", "[a]"], ["/", "/"], ["-", "-"], [" ", " "], ["\n", "\n"]),
		weight: 2,
	},
	{
		arbitrary: pieces(["(", "a"], [")", "a"], ["|", "a"], ["*", "a"], ["?", ""], ["(a*)*", "aa"], ["((a)*)*", "a"]),
		weight: 1,
	},
	{ arbitrary: pieces(["\\1", "a"], ["\\", ""], ["\\d", "1"], ["(?:a)", "a"], ["1", "1"], ["a|b", "a"]), weight: 1 },
);
const line = fc.array(piece, { minLength: 1, maxLength: 5 });
const output = fc.constantFrom(
	"{0}",
	"{0}",
	"x{0}",
	"x",
	"{username}",
	"{1}{0}",
	"{0}{0}",
	"{missing}",
	"{{0}}",
	"{}",
	"{01}",
);
const source = fc.constantFrom("{username}", "{username}", "{username}", "{email}", "{0}");
const question = fc
	.record({
		mappers: fc.array(
			fc.array(fc.tuple(line, output, source, fc.boolean(), fc.nat({ max: 9 })), { minLength: 1, maxLength: 2 }),
			{ minLength: 1, maxLength: 2 },
		),
		people: fc.array(fc.tuple(fc.nat(), line, fc.constantFrom("used", "used", "private", "unused")), {
			minLength: 1,
			maxLength: 3,
		}),
	})
	.map(({ mappers, people }): Question => {
		const textOf = (some: readonly Piece[]): string => some.map(([, text]) => text).join("");
		const meant = mappers.flat().map(([some]) => textOf(some));
		return {
			document: mappers.map((mappings) =>
				rules(
					...mappings.map(([some, output, source, ignore_case, dice]) =>
						rule(some.map(([pattern]) => pattern).join(""), { output, source, ignore_case, literal: dice === 0 }),
					),
				),
			),
			identities: people.map(([which, other, status], at) =>
				// Names that a rule is meant for, and any others.
				ada(meant[which % (2 * meant.length)] ?? textOf(other), { id: `id-${at}`, email: "b@a", status }),
			),
		};
	});

/** Where a rule says something that docs/templates.md names as taken differently. */
function differs(document: object): boolean {
	const { mappings } = document as { mappings: readonly { match: string; literal: boolean }[] };
	return mappings.some(({ match, literal }) => {
		if (literal) return match.includes("\\");
		const plain = match.replaceAll("\\\\", "");
		if (/\\[0-9]|\\$/.test(plain) || /\(\?/.test(plain.replaceAll("\\(", ""))) return true;
		const bare = plain.replace(/\\./g, "");
		let depth = 0;
		for (const character of bare) {
			if (character === "(") depth++;
			else if (character === ")") depth--;
			else if (character === "|" && depth === 0) return true;
		}
		return /\(.*[*?|].*\)\*|\(\)\*/.test(bare);
	});
}

describe("GC-9: NEW-29: a map of the field means here what it means there", () => {
	test("rules, identities and programs as administrators write them", async () => {
		const elsewhere = rule("(.*)@example\\.net");
		const cases: readonly (readonly [
			says: string,
			document: readonly object[],
			people: Identity[],
			account: object,
		])[] = [
			["the usual rule", [rules(rule("(.*)@example\\.org"))], [ada("ada@example.org")], as("ada")],
			["another domain", [rules(rule("(.*)@example\\.org"))], [ada("ada@example.orgs")], nobody],
			["one identity by its id", [rules(rule(ada("").id, { source: "{id}", output: "app" }))], [ada("x")], as("app")],
			["a set of people", [rules(rule("(ada|bob)@x", { output: "team" }))], [ada("bob@x")], as("team")],
			["several groups", [rules(rule("(.*)@(.*)\\.org", { output: "{1}_{0}" }))], [ada("ada@x.org")], as("x_ada")],
			["properties", [rules(rule("(.*)@.*", { output: "{0}{status}" }))], [ada("ada@x")], as("adaused")],
			["a missing property", [rules(rule(".*", { source: "{organization}" }), rule("(.*)"))], [ada("x")], nobody],
			["the next mapper then", [rules(rule(".*", { output: "{1}" })), rules(rule("(.*)"))], [ada("x")], as("x")],
			["rules before people", [rules(elsewhere, rule("(.*)@example\\.com"))], [ada("ada@x"), bob], as("bob", bob)],
			["the first of several people", [rules(rule("(.*)@.*"))], [bob, ada("ada@x")], as("bob", bob)],
			["an identity that is not in use", [rules(rule("(.*)@.*"))], [ada("a@x", { status: "unused" })], nobody],
			["one without a status", [rules(rule("(.*)@.*"))], [ada("a@x", { status: undefined })], nobody],
			["case", [rules(rule("(.*)@EXAMPLE\\.org"))], [ada("ada@example.org")], nobody],
			["no case", [rules(rule("(.*)@EX\\.org", { ignore_case: true }))], [ada("Ada@eX.ORG")], as("Ada")],
			["literal text", [rules(rule("a.c*", { literal: true, output: "c" }))], [ada("a.c*")], as("c")],
			["anchors stand for themselves", [rules(rule("^(.*)$"))], [ada("^ada$")], as("ada")],
			["plus, braces and brackets too", [rules(rule("(a+b{1}[c])"))], [ada("a+b{1}[c]")], as("a+b{1}[c]")],
			["an unknown escape", [rules(rule("\\d+"))], [ada("1")], refused],
			["a lazy repetition", [rules(rule("(.*?)@x"))], [ada("a@x")], refused],
			["a star first", [rules(rule("*@x"))], [ada("a@x")], refused],
			["an open group", [rules(rule("(a"))], [ada("a")], refused],
			[
				"another version",
				[{ ...rules(rule(".*")), DATA_TYPE: "expression_identity_mapping#2.0.0" }],
				[ada("a")],
				refused,
			],
			[
				"a program that knows",
				[programThat("knows", said({ id: bob.id, output: "b" }))],
				[ada("a"), bob],
				as("b", bob),
			],
			["a program that knows nobody", [programThat("empty", said())], [ada("a")], nobody],
			["a program that is silent", [programThat("silent", "")], [ada("a")], nobody],
			["one that fails: the next is asked", [programThat("bad", "", 3), rules(rule("(.*)"))], [ada("a")], as("a")],
			["one that babbles", [programThat("babble", "ada")], [ada("a")], nobody],
			["one that says more", [programThat("more", said({ id: bob.id, output: "b", more: 1 }))], [bob], nobody],
			["one that answers for others", [programThat("others", said({ id: bob.id, output: "b" }))], [ada("a")], nobody],
			["one that says no id", [programThat("noid", said({ id: "b", output: "b" }))], [bob], nobody],
			["one that is not there", [{ ...programThat("gone", ""), command: ["/nonexistent/map"] }], [bob], nobody],
		];
		const answers = await both(cases.map(([, document, identities]) => ({ document, identities })));
		for (const [at, [says, , , account]] of cases.entries()) {
			expect(outcome(answers[at]?.theirs as Answer), `theirs: ${says}`).toEqual(account);
			expect(outcome(answers[at]?.ours as Answer), `ours: ${says}`).toEqual(account);
		}
	});

	test("whatever is written into rules and names, both make the same of it, but for what is said to differ", async () => {
		const samples = fc.sample(question, 10000);
		const answers = await both(samples);
		let mapped = 0;
		for (const [at, sample] of samples.entries()) {
			const { ours, theirs } = answers[at] as { ours: Answer; theirs: Answer };
			if (sample.document.some(differs) || sample.identities.some(({ username }) => username?.endsWith("\n"))) continue;
			expect(outcome(ours), `${JSON.stringify(sample)}: ${JSON.stringify([ours, theirs])}`).toEqual(outcome(theirs));
			if ("name" in ours) mapped++;
		}
		expect(mapped, "mapped by both").toBeGreaterThan(300);
	});

	test("what docs/templates.md names is taken differently: we map nobody, refuse the file, or take no name for a rule", async () => {
		const x = { output: "x" };
		const cases: readonly (readonly [
			says: string,
			document: readonly object[],
			person: Identity,
			theirs: object,
			ours: object,
		])[] = [
			["alternatives without parentheses", [rules(rule("ada|bob", x))], ada("ada-and-more"), as("x"), nobody],
			["a new line at the end", [rules(rule("(.*)@x"))], ada("ada@x\n"), as("ada"), nobody],
			["a repeated group with alternatives", [rules(rule("(a|b)*", x))], ada("ab"), as("x"), refused],
			["the same, deeper", [rules(rule("((a)*b)*", x))], ada("ab"), as("x"), refused],
			["an empty repeated group", [rules(rule("ada()*", x))], ada("ada"), as("x"), refused],
			["an earlier group again", [rules(rule("(a)\\1", x))], ada("aa"), as("x"), refused],
			["a backslash at the end", [rules(rule("ada\\", x))], ada("ada$and-more"), as("x"), refused],
			["a group of Python's own kinds", [rules(rule("(?:ada)", x))], ada("ada"), as("x"), refused],
			["a backslash in literal text", [rules(rule("a\\.b", { ...x, literal: true }))], ada("a\\!b"), as("x"), nobody],
			[
				"the Turkish i as any other",
				[rules(rule("ali", { ...x, ignore_case: true }))],
				ada("al\u0131"),
				as("x"),
				nobody,
			],
			[
				"braces in a name",
				[rules(rule("(.*)@(.*)", { output: "{username}.{1}" }))],
				ada("{1}@x"),
				as("x@x.x"),
				as("{1}@x.x"),
			],
			["a group counted from the end", [rules(rule("(.*)@.*", { output: "{-1}" }))], ada("ada@x"), as("ada"), nobody],
			[
				"a mapper that nobody knows",
				[{ DATA_TYPE: "site#1.0.0" }, rules(rule("(.*)"))],
				ada("ada"),
				as("ada"),
				refused,
			],
			["no mapper at all", [], ada("ada"), nobody, refused],
		];
		const answers = await both(cases.map(([, document, person]) => ({ document, identities: [person] })));
		expect(answers.map((answer, at) => [cases[at]?.[0], outcome(answer.theirs), outcome(answer.ours)])).toEqual(
			cases.map(([says, , , theirs, ours]) => [says, theirs, ours]),
		);
	});
});
