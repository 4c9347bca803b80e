/** Groups of people, and whom endpoints are shared with: a part of the client. */
import * as rest from "@errand/proto/rest";
import type * as z from "zod";
import type { PageOptions } from "./client.ts";
import type { Rest } from "./rest.ts";

/** With whom (an account or a group, by id or name), and how much of it. */
export type EndpointSharing = z.input<typeof rest.endpointSharing>;

const id = encodeURIComponent;
const groups = rest.page(rest.accountGroupSummary);
const shares = rest.page(rest.endpointShare);
const endpoints = rest.page(rest.endpointSummary);

/** Groups are named by id or name, accounts by id or username. */
export class Sharing {
	readonly #rest: Rest;

	constructor(restClient: Rest) {
		this.#rest = restClient;
	}

	/** Whoever makes a group administers it. Names are unique in a cloud. */
	createGroup(name: string, description = ""): Promise<rest.AccountGroupDocument> {
		const body = { name, description };
		return this.#rest.json({ method: "POST", path: "/v1/groups", body, once: true }, rest.accountGroupDocument);
	}

	/** With its members; only for those who are in it, and administrators of the cloud. */
	getGroup(group: string): Promise<rest.AccountGroupDocument> {
		return this.#rest.json({ method: "GET", path: `/v1/groups/${id(group)}` }, rest.accountGroupDocument);
	}

	/** Those that the caller is in, by name. */
	listGroups(options: PageOptions = {}): Promise<rest.Page<rest.AccountGroupSummary>> {
		return this.#rest.json({ method: "GET", path: "/v1/groups", query: { ...options } }, groups);
	}

	/** What was shared with it is shared with nobody. */
	deleteGroup(group: string): Promise<void> {
		return this.#rest.done({ method: "DELETE", path: `/v1/groups/${id(group)}` });
	}

	/** Makes a member, or changes whether it may change the group. */
	setMember(group: string, account: string, options: { admin?: boolean } = {}): Promise<rest.AccountGroupDocument> {
		const path = `/v1/groups/${id(group)}/members/${id(account)}`;
		return this.#rest.json({ method: "PUT", path, body: options }, rest.accountGroupDocument);
	}

	/** Also for leaving a group. */
	removeMember(group: string, account: string): Promise<void> {
		return this.#rest.done({ method: "DELETE", path: `/v1/groups/${id(group)}/members/${id(account)}` });
	}

	/** Their tasks run with the rights of whoever runs the endpoint: list the functions that they may run, if you can. */
	shareEndpoint(endpointId: string, sharing: EndpointSharing): Promise<rest.EndpointShare> {
		const path = `/v1/endpoints/${id(endpointId)}/shares`;
		return this.#rest.json({ method: "PUT", path, body: sharing }, rest.endpointShare);
	}

	async listShares(endpointId: string): Promise<rest.EndpointShare[]> {
		const path = `/v1/endpoints/${id(endpointId)}/shares`;
		return (await this.#rest.json({ method: "GET", path }, shares)).items;
	}

	removeShare(endpointId: string, shareId: string): Promise<void> {
		return this.#rest.done({ method: "DELETE", path: `/v1/endpoints/${id(endpointId)}/shares/${id(shareId)}` });
	}

	/** Endpoints of others that are shared with the caller. */
	async listSharedEndpoints(): Promise<rest.EndpointSummary[]> {
		return (await this.#rest.json({ method: "GET", path: "/v1/shared-endpoints" }, endpoints)).items;
	}
}
