/** Whether the caller's login is what the endpoint's authentication policy asks for, looked at on every submit. */
import { type AuthPolicyId, Fault } from "@errand/proto";
import { type AuthenticationRules, type Shortfall, shortfallOf } from "../policy/authentication.ts";
import type { Caller } from "../policy/caller.ts";
import { insertAudit } from "../store/audit.ts";
import { findAuthPolicy } from "../store/auth-policies.ts";
import type { EndpointRow } from "../store/endpoints.ts";
import type { Ports } from "./ports.ts";
import { Recent } from "./recent.ts";

/** A policy that was changed through another cloud process counts as it was for this long. */
const policyLagMs = 3_000;
/** One entry of the audit log for the same refusal in this time: a program may ask many times a second. */
const auditPauseMs = 60_000;

interface Policy extends AuthenticationRules {
	readonly name: string;
}

export class LoginCheck {
	readonly #database: Ports["database"];
	readonly #policies = new Recent<AuthPolicyId, Policy>(10_000, policyLagMs);
	readonly #audited = new Recent<string, true>(20_000, auditPauseMs);

	constructor({ database, events }: Pick<Ports, "database" | "events">) {
		this.#database = database;
		events.on("auth-policy:changed", ({ policy }) => this.#policies.delete(policy));
	}

	/** Throws AUTHENTICATION_POLICY_NOT_MET, which says what login is asked for. */
	async require(caller: Caller, endpoint: EndpointRow): Promise<void> {
		const id = endpoint.auth_policy_id;
		if (id === null) return;
		const policy = await this.#policy(caller, id);
		const shortfall = shortfallOf(policy, caller.login, Date.now());
		if (shortfall === undefined) return;
		await this.#audit(caller, endpoint, id, shortfall);
		const message = sentences[shortfall.lacks](shortfall as never, policy, endpoint.name);
		throw new Fault("AUTHENTICATION_POLICY_NOT_MET", message, {
			args: [id, endpoint.id],
			authorization: {
				session_message: message,
				session_required_policies: [id],
				...(shortfall.lacks === "domain" && { session_required_single_domain: [...(policy.includeDomains ?? [])] }),
				prompt: "login",
			},
		});
	}

	async #policy(caller: Caller, id: AuthPolicyId): Promise<Policy> {
		const known = this.#policies.get(id);
		if (known !== undefined) return known;
		const row = await findAuthPolicy(this.#database, caller.accountId, id);
		// The endpoint was registered anew without it a moment ago, at another cloud process.
		if (row === undefined)
			throw new Fault("NOT_READY", `authentication policy ${id} was taken away; try again`, { retryAfterS: 3 });
		const policy = {
			name: row.name,
			includeDomains: row.include_domains,
			excludeDomains: row.exclude_domains,
			sessionAgeS: row.session_age_s,
		};
		this.#policies.set(id, policy);
		return policy;
	}

	async #audit(caller: Caller, endpoint: EndpointRow, policy: AuthPolicyId, { lacks }: Shortfall): Promise<void> {
		const key = `${caller.accountId} ${endpoint.id} ${policy} ${lacks}`;
		if (this.#audited.get(key) === true) return;
		this.#audited.set(key, true);
		await insertAudit(this.#database, caller, "policy.refuse", endpoint.id, { name: endpoint.name, policy, lacks });
	}
}

type Sentence<S extends Shortfall> = (shortfall: S, policy: Policy, endpoint: string) => string;

const sentences: { readonly [L in Shortfall["lacks"]]: Sentence<Extract<Shortfall, { lacks: L }>> } = {
	login: (_, { name }, endpoint) =>
		`Endpoint ${endpoint} is under the authentication policy "${name}", and this credential is no login: log in as a person.`,
	domain: (_, { name, includeDomains }, endpoint) =>
		`Endpoint ${endpoint} takes tasks only from logins of ${(includeDomains ?? []).join(", ")} (authentication policy "${name}"): ` +
		"log in with an account whose username or email is of such a domain.",
	"other-domain": ({ domain }, { name }, endpoint) =>
		`Endpoint ${endpoint} takes no tasks from logins of ${domain} (authentication policy "${name}"): log in with another account.`,
	person: (_, { name, sessionAgeS }, endpoint) =>
		`Endpoint ${endpoint} wants a person's login of the last ${durationText(sessionAgeS)} (authentication policy "${name}"), ` +
		"which a service client has not: log in as a person, or ask the endpoint's owner to include the domain clients.",
	age: (_, { name, sessionAgeS }, endpoint) =>
		`Endpoint ${endpoint} wants a login of the last ${durationText(sessionAgeS)} (authentication policy "${name}"), ` +
		"and this one does not say when it was: log in again.",
	"recent-login": ({ ageS }, { name, sessionAgeS }, endpoint) =>
		`Endpoint ${endpoint} wants a login of the last ${durationText(sessionAgeS)} (authentication policy "${name}"), ` +
		`and yours was ${durationText(ageS)} ago: log in again.`,
};

const units = [
	[86_400, "d"],
	[3600, "h"],
	[60, "min"],
] as const;

/** `90 s`, `15 min`, `2.5 h` */
function durationText(seconds: number | null): string {
	const all = seconds ?? 0;
	const [size, unit] = units.find(([size]) => all >= 2 * size) ?? [1, "s"];
	return `${Math.round((all / size) * 10) / 10} ${unit}`;
}
