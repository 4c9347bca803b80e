/** Whether a login is what an endpoint's authentication policy asks for. Pure: the time is handed in. */
import { clientsDomain, type Login } from "./login.ts";

export interface AuthenticationRules {
	/** `example.org`, or `*.example.org` for all below it; null: any domain, and no domain at all. */
	readonly includeDomains: readonly string[] | null;
	readonly excludeDomains: readonly string[] | null;
	/** Null: a login of any age. */
	readonly sessionAgeS: number | null;
}

/** What a login lacks. */
export type Shortfall =
	| { readonly lacks: "login" }
	| { readonly lacks: "domain" }
	| { readonly lacks: "other-domain"; readonly domain: string }
	| { readonly lacks: "person" }
	| { readonly lacks: "age" }
	| { readonly lacks: "recent-login"; readonly ageS: number };

/** A login that seems to come from later than this was not made by a clock that can be trusted. */
const clockSkewMs = 300_000;

export function matchesDomain(pattern: string, domain: string): boolean {
	return pattern.startsWith("*.")
		? domain.endsWith(pattern.slice(1)) && domain !== pattern.slice(1)
		: domain === pattern;
}

/**
 * Undefined when the login will do. One excluded domain is enough to be kept out, one included to be let in. Nobody logs
 * in for a service client, so a policy with an age keeps it out, unless it includes service clients by their own name.
 */
export function shortfallOf(
	{ includeDomains, excludeDomains, sessionAgeS }: AuthenticationRules,
	login: Login | undefined,
	nowMs: number,
): Shortfall | undefined {
	if (login === undefined) return { lacks: "login" };
	const excluded = login.domains.find((domain) => excludeDomains?.some((pattern) => matchesDomain(pattern, domain)));
	if (excluded !== undefined) return { lacks: "other-domain", domain: excluded };
	const included = (domain: string) => includeDomains?.some((pattern) => matchesDomain(pattern, domain)) ?? true;
	if (includeDomains !== null && !login.domains.some(included)) return { lacks: "domain" };
	if (sessionAgeS === null) return undefined;
	if (login.service) return includeDomains?.includes(clientsDomain) === true ? undefined : { lacks: "person" };
	if (login.atMs === undefined || login.atMs > nowMs + clockSkewMs) return { lacks: "age" };
	const ageMs = nowMs - login.atMs;
	return ageMs > sessionAgeS * 1000 ? { lacks: "recent-login", ageS: Math.floor(ageMs / 1000) } : undefined;
}
