/** Rules of an authentication policy as people type and read them. */
import type { AuthPolicy } from "@errand/proto/rest";
import * as z from "zod";
import type { Client } from "../src/index.ts";
import { formatDuration } from "./duration.ts";
import { durationMs } from "./input.ts";
import type { Screen } from "./screen.ts";
import { allPages, theOnly } from "./selector.ts";

const domains = z.string().transform((text) => text.split(",").map((domain) => domain.trim()));

export const ruleOptions = [
	{ flags: "--include <domains>", summary: "let in logins of these domains only: uni.edu,*.lab.org" },
	{ flags: "--exclude <domains>", summary: "keep out logins of these domains" },
	{ flags: "--max-age <duration>", summary: "how long ago a login may have been: 15m, 8h" },
	{ flags: "--description <text>", summary: "for people" },
] as const;

export const ruleInput = {
	include: domains.optional(),
	exclude: domains.optional(),
	maxAge: durationMs.refine((ms) => ms >= 1000, "at least 1s").optional(),
	description: z.string().max(4096).optional(),
};

/** As the cloud takes them; what was not typed is left out. */
export function rulesOf(input: z.output<z.ZodObject<typeof ruleInput>>) {
	return {
		...(input.include && { domain_constraints_include: input.include }),
		...(input.exclude && { domain_constraints_exclude: input.exclude }),
		...(input.maxAge !== undefined && { authentication_assurance_timeout: Math.round(input.maxAge / 1000) }),
		...(input.description !== undefined && { description: input.description }),
	};
}

export const domainsText = (domains: readonly string[] | null): string => (domains ?? []).join(", ");

export function ageText({ authentication_assurance_timeout: seconds }: AuthPolicy): string {
	return seconds === null ? "" : formatDuration(seconds * 1000);
}

export function showPolicy(policy: AuthPolicy, screen: Screen): void {
	screen.pairs([
		["policy", screen.style("bold", policy.name)],
		["id", policy.id],
		["description", policy.description || undefined],
		["lets in", domainsText(policy.domain_constraints_include) || "any domain"],
		["keeps out", domainsText(policy.domain_constraints_exclude) || undefined],
		["login of the last", ageText(policy) || undefined],
		["endpoints", String(policy.endpoints)],
		["project", policy.project_id ?? undefined],
	]);
}

/** By id, the first characters of one, or a name that only one has. */
export async function selectPolicy(client: Client, text: string): Promise<AuthPolicy> {
	const matches: AuthPolicy[] = [];
	const pages = allPages((cursor) => client.authPolicies.list({ limit: 500, ...cursor }), Number.POSITIVE_INFINITY);
	for await (const policy of pages)
		if (policy.name === text || (text.length >= 4 && policy.id.startsWith(text.toLowerCase()))) matches.push(policy);
	const id = theOnly(matches, text, "policy", (policy) => policy.id, "errand policy list");
	return matches.find((policy) => policy.id === id) as AuthPolicy;
}
