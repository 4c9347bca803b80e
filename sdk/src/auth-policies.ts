/** Authentication policies: what endpoints ask of the logins of whoever submits to them. A part of the client. */
import * as rest from "@errand/proto/rest";
import type * as z from "zod";
import type { PageOptions } from "./client.ts";
import type { Rest } from "./rest.ts";

/** Domains to include and exclude, and the age of a login in seconds; at least one of them. */
export type AuthPolicyCreation = z.input<typeof rest.authPolicyCreation>;
/** What is not named stays; null takes a rule away. */
export type AuthPolicyChange = z.input<typeof rest.authPolicyChange>;

const policies = rest.page(rest.authPolicy);
const at = (id: string): string => `/v1/policies/${encodeURIComponent(id)}`;

/** Policies are named by id. */
export class AuthPolicies {
	readonly #rest: Rest;

	constructor(restClient: Rest) {
		this.#rest = restClient;
	}

	/** Its id goes into an endpoint's `config.yaml`: `authentication_policy`. */
	create(policy: AuthPolicyCreation): Promise<rest.AuthPolicy> {
		return this.#rest.json({ method: "POST", path: "/v1/policies", body: policy, once: true }, rest.authPolicy);
	}

	get(id: string): Promise<rest.AuthPolicy> {
		return this.#rest.json({ method: "GET", path: at(id) }, rest.authPolicy);
	}

	/** The caller's own, and those of projects that it administers; oldest first. */
	list(options: PageOptions = {}): Promise<rest.Page<rest.AuthPolicy>> {
		return this.#rest.json({ method: "GET", path: "/v1/policies", query: { ...options } }, policies);
	}

	/** Counts within seconds, on every endpoint that is registered with it. */
	change(id: string, change: AuthPolicyChange): Promise<rest.AuthPolicy> {
		return this.#rest.json({ method: "PUT", path: at(id), body: change }, rest.authPolicy);
	}

	/** Refused with RESOURCE_CONFLICT while an endpoint is registered with it. */
	delete(id: string): Promise<void> {
		return this.#rest.done({ method: "DELETE", path: at(id) });
	}
}
