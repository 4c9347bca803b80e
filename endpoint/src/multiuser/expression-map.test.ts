import fc from "fast-check";
import { expect, test } from "vitest";
import { applyRules, compileRules, expressionDocument } from "./expression-map.ts";
import type { Identity } from "./identity.ts";

const ada: Identity = {
	id: "9cf5a1d2-41c4-4925-b0bb-f5e0a16c98ab",
	username: "ada@example.org",
	email: "ada.lovelace@mail.example.org",
	status: "used",
};

const rules = (...mappings: readonly Record<string, unknown>[]) =>
	compileRules(expressionDocument.parse({ DATA_TYPE: "expression_identity_mapping#1.0.0", mappings }));

const names = (mapping: Record<string, unknown>, ...identities: readonly Identity[]): string[] =>
	applyRules(rules({ source: "{username}", output: "{0}", ...mapping }), identities).map(({ localName }) => localName);

const called = (username: string): Identity => ({ ...ada, username });

test.each([
	["a group is what is put out", { match: "(.*)@example\\.org" }, "ada@example.org", ["ada"]],
	["the whole text must match, without anchors", { match: "(.*)@example\\.org" }, "ada@example.org.evil.com", []],
	["the whole text must match at its start too", { match: "(ada)@example\\.org" }, "not-ada@example.org", []],
	["an alternative must match the whole text too", { match: "(ada)|(bob)", output: "x" }, "ada-and-more", []],
	["an escaped dot is a dot", { match: "(.*)@example\\.org" }, "ada@exampleXorg", []],
	["a dot is any character", { match: "(.*)@example.org" }, "ada@exampleXorg", ["ada"]],
	["a dot is no new line", { match: "(.*)@example.org" }, "a\nda@example.org", []],
	["a new line at the end is not forgiven", { match: "(.*)@example.org" }, "ada@example.org\n", []],
	["anchors stand for themselves", { match: "^(.*)@example\\.org$" }, "ada@example.org", []],
	["plus and braces stand for themselves", { match: "(a+{1}[b])" }, "a+{1}[b]", ["a+{1}[b]"]],
	["an escaped backslash is one", { match: "(.*)\\\\" }, "ada\\", ["ada"]],
	["an escaped backslash before a digit", { match: "(.*)\\\\1" }, "ada\\1", ["ada"]],
	["alternatives in a group", { match: "(ada|bob)@example\\.org", output: "team" }, "bob@example.org", ["team"]],
	["zero or one", { match: "(ad?a)@.*" }, "aa@x", ["aa"]],
	["case matters", { match: "(.*)@EXAMPLE\\.org" }, "ada@example.org", []],
	["case does not matter", { match: "(.*)@EXAMPLE\\.org", ignore_case: true }, "ada@example.org", ["ada"]],
	["a literal text", { match: "a.a*", output: "ada", literal: true }, "a.a*", ["ada"]],
	["a literal text is no pattern", { match: "a.a*", output: "ada", literal: true }, "axaa", []],
	["a later group", { match: "(.*)@(.*)\\.org", output: "{1}-{0}" }, "ada@example.org", ["example-ada"]],
	["properties in the output", { match: "(.*)@.*", output: "{0}.{status}" }, "ada@x", ["ada.used"]],
	["an optional group that may be empty is there", { match: ".(.*)?(.*)", output: "x{0}" }, "a", ["x"]],
	["so is one whose alternative may be", { match: "a(b|(c*))?", output: "x{0}" }, "a", ["x"]],
	["an optional group that has something in it", { match: "a(b|(c*))?", output: "x{0}" }, "acc", ["xcc"]],
	["an escaped brace is kept", { match: "(.*)@.*", output: "\\{0}" }, "ada@x", ["\\{0}"]],
])("GC-9: a rule of the field: %s", (_, mapping, username, expected) => {
	expect(names(mapping, called(username))).toEqual(expected);
});

test.each([
	["(a)\\1", "a backslash stands only before"],
	["a\\d", "a backslash stands only before"],
	["a\\", "a backslash stands only before"],
	[".*?@x", "not in the language"],
	["*@x", "nothing before it"],
	["(a", "Unterminated group"],
	["a**", "Nothing to repeat"],
	[")|(", "Unmatched"],
	["(.*)?*@x", "Nothing to repeat"],
	["(.*)*@x", "could take for ever"],
	["(a|b)*@x", "could take for ever"],
	["()*@x", "could take for ever"],
	["((a)*)*@x", "could take for ever"],
	["((a|b))*@x", "could take for ever"],
	["(?:ada)@x", "nothing before it"],
	["(?i)ada@x", "nothing before it"],
	["a|*@x", "nothing before it"],
])('a rule that matches "%s" is refused when the file is read', (match, says) => {
	expect(() => names({ match }, ada)).toThrow(says);
});

test("rules are asked in order, each over all identities that are used or private", () => {
	const bob: Identity = { ...ada, id: "b", username: "bob@example.org", status: "private" };
	const gone: Identity = { ...ada, id: "g", username: "eve@example.org", status: "unused" };
	const mapped = applyRules(
		rules(
			{ source: "{email}", match: "(bob).*", output: "{0}" },
			{ source: "{username}", match: "(.*)@example\\.org", output: "{0}" },
		),
		[gone, { ...ada, email: "a" }, { ...bob, email: "bob@x" }],
	);
	expect(mapped).toEqual([
		{ identityId: "b", localName: "bob" },
		{ identityId: ada.id, localName: "ada" },
		{ identityId: "b", localName: "bob" },
	]);
});

test.each([
	["a property that the identity lacks", { source: "{organization}", match: ".*" }],
	["a property that is not text", { source: "{last_authentication}", match: ".*" }],
	["a name that every object has", { source: "{constructor}", match: ".*" }],
	["a group that there is not", { match: "(.*)", output: "{1}" }],
	["a group that took no part", { match: "(x)?ada.*", output: "{0}" }],
])("%s keeps the whole mapper from answering", (_, mapping) => {
	expect(() => names(mapping, { ...ada, last_authentication: 1 })).toThrow(ada.id);
});

test("what an identity is called is never taken for a rule", () => {
	fc.assert(
		fc.property(fc.string({ unit: "binary" }), (text) => {
			const username = text.replaceAll("\n", "");
			expect(names({ match: "(.*)" }, called(username))).toEqual([username]);
			expect(names({ match: "(.*)" }, called(`{email}${username}{0}`))).toEqual([`{email}${username}{0}`]);
		}),
	);
});
