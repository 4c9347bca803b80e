import { describe, expect, test } from "vitest";
import { type AuthenticationRules, matchesDomain, type Shortfall, shortfallOf } from "./authentication.ts";
import { clientsDomain, domainsOf, type Login } from "./login.ts";

const nowMs = Date.UTC(2026, 0, 2);
const rules = (over: Partial<AuthenticationRules>): AuthenticationRules => ({
	includeDomains: null,
	excludeDomains: null,
	sessionAgeS: null,
	...over,
});
const login = (over: Partial<Login>): Login => ({ domains: [], service: false, atMs: nowMs - 1000, ...over });
const at = (...domains: string[]): Login => login({ domains });
const service = login({ domains: [clientsDomain], service: true, atMs: undefined });

const table: readonly [what: string, AuthenticationRules, Login | undefined, Shortfall | undefined][] = [
	["a credential without a login", rules({ excludeDomains: ["x.org"] }), undefined, { lacks: "login" }],
	["an included domain", rules({ includeDomains: ["uni.edu"] }), at("uni.edu"), undefined],
	["one included domain of two", rules({ includeDomains: ["uni.edu"] }), at("mail.com", "uni.edu"), undefined],
	["a domain below an included one", rules({ includeDomains: ["uni.edu"] }), at("cs.uni.edu"), { lacks: "domain" }],
	["a domain that a star covers", rules({ includeDomains: ["*.edu"] }), at("cs.uni.edu"), undefined],
	["another domain", rules({ includeDomains: ["uni.edu", "*.gov"] }), at("notuni.edu"), { lacks: "domain" }],
	["no domain where one is included", rules({ includeDomains: ["uni.edu"] }), at(), { lacks: "domain" }],
	["no domain where one is excluded", rules({ excludeDomains: ["uni.edu"] }), at(), undefined],
	[
		"an excluded domain",
		rules({ excludeDomains: ["*.uni.edu"] }),
		at("guests.uni.edu"),
		{ lacks: "other-domain", domain: "guests.uni.edu" },
	],
	[
		"a domain that is included and, more closely, excluded",
		rules({ includeDomains: ["*.edu"], excludeDomains: ["guests.uni.edu"] }),
		at("guests.uni.edu"),
		{ lacks: "other-domain", domain: "guests.uni.edu" },
	],
	[
		"an excluded domain beside an included one",
		rules({ includeDomains: ["uni.edu"], excludeDomains: ["mail.com"] }),
		at("uni.edu", "mail.com"),
		{ lacks: "other-domain", domain: "mail.com" },
	],
	["a login of exactly the age", rules({ sessionAgeS: 60 }), login({ atMs: nowMs - 60_000 }), undefined],
	[
		"a login that is older",
		rules({ sessionAgeS: 60 }),
		login({ atMs: nowMs - 61_500 }),
		{ lacks: "recent-login", ageS: 61 },
	],
	["a login of an unknown time", rules({ sessionAgeS: 60 }), login({ atMs: undefined }), { lacks: "age" }],
	["a login of a clock that is a little ahead", rules({ sessionAgeS: 60 }), login({ atMs: nowMs + 5_000 }), undefined],
	["a login from tomorrow", rules({ sessionAgeS: 60 }), login({ atMs: nowMs + 86_400_000 }), { lacks: "age" }],
	[
		"a login of any age where none is asked for",
		rules({ includeDomains: ["a.b"] }),
		login({ domains: ["a.b"], atMs: 0 }),
		undefined,
	],
	[
		"an old login of another domain",
		rules({ includeDomains: ["a.b"], sessionAgeS: 1 }),
		login({ atMs: 0 }),
		{ lacks: "domain" },
	],
	["a service client where no age is asked for", rules({ excludeDomains: ["a.b"] }), service, undefined],
	["a service client where an age is asked for", rules({ sessionAgeS: 60 }), service, { lacks: "person" }],
	[
		"a service client where people's domains are included",
		rules({ includeDomains: ["*.edu"] }),
		service,
		{ lacks: "domain" },
	],
	[
		"a service client that is included by name, whatever the age",
		rules({ includeDomains: ["uni.edu", clientsDomain], sessionAgeS: 60 }),
		service,
		undefined,
	],
	[
		"a person where service clients are included too",
		rules({ includeDomains: ["uni.edu", clientsDomain], sessionAgeS: 60 }),
		login({ domains: ["uni.edu"], atMs: nowMs - 90_000 }),
		{ lacks: "recent-login", ageS: 90 },
	],
	[
		"service clients that are excluded",
		rules({ excludeDomains: [clientsDomain] }),
		service,
		{ lacks: "other-domain", domain: clientsDomain },
	],
];

test.each(table)("%s", (_what, policy, who, shortfall) => {
	expect(shortfallOf(policy, who, nowMs)).toEqual(shortfall);
});

describe("a pattern of domains", () => {
	test.each([
		["uni.edu", "uni.edu", true],
		["uni.edu", "cs.uni.edu", false],
		["*.uni.edu", "cs.uni.edu", true],
		["*.uni.edu", "a.b.uni.edu", true],
		["*.uni.edu", "uni.edu", false],
		["*.uni.edu", "notuni.edu", false],
		["*.edu", "uni.edu.evil.org", false],
	])("%s and %s", (pattern, domain, matches) => expect(matchesDomain(pattern, domain)).toBe(matches));
});

test("a domain is what follows the last @, of at least two parts, so that no person's is that of service clients", () => {
	expect(domainsOf("Ada@Uni.EDU", "ada@mail.example.org")).toEqual(["uni.edu", "mail.example.org"]);
	expect(domainsOf("a@b@uni.edu", "x@uni.edu")).toEqual(["uni.edu"]);
	expect(domainsOf("ada", "", "@uni.edu", "ada@", "ada@clients", "ada@uni..edu", "ada@.edu")).toEqual([]);
});
