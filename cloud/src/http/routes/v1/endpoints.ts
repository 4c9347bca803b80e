import { endpointKey, endpointSummary, lease, leaseRequest, page, userEndpointSummary } from "@errand/proto/rest";
import * as z from "zod";
import type { Operations } from "../../../operations/operations.ts";
import { type Route, route } from "../../route.ts";
import { endpointId, given, pageQuery } from "../ids.ts";

const byId = z.object({ endpoint_id: endpointId });
const byIdOrName = z.object({
	endpoint: z
		.string()
		.min(1)
		.max(128)
		.regex(/^[^\s'"/\\\0]+$/, "is neither an endpoint's id nor a name"),
});

export const endpoints = (operations: Operations): Route[] => [
	route({
		method: "GET",
		path: "/v1/endpoints",
		summary: "The caller's endpoints",
		query: pageQuery,
		reply: page(endpointSummary),
		handle: (caller, { query }) => operations.listEndpoints(caller, given(query)),
	}),
	route({
		method: "GET",
		path: "/v1/endpoints/{endpoint}",
		summary: "One endpoint, by id, or by the name of one of the caller's own or that is shared with the caller",
		params: byIdOrName,
		reply: endpointSummary,
		faults: ["ENDPOINT_NOT_FOUND", "ENDPOINT_ACCESS_FORBIDDEN", "RESOURCE_CONFLICT"],
		handle: (caller, { params }) => operations.getEndpoint(caller, params.endpoint),
	}),
	route({
		method: "GET",
		path: "/v1/endpoints/{endpoint_id}/user-endpoints",
		summary:
			"What a manager runs for one account and configuration each: all for its owner and administrators, else the caller's own",
		params: byId,
		query: pageQuery,
		reply: page(userEndpointSummary),
		faults: ["ENDPOINT_NOT_FOUND", "ENDPOINT_ACCESS_FORBIDDEN"],
		handle: (caller, { params, query }) => operations.listUserEndpoints(caller, params.endpoint_id, given(query)),
	}),
	route({
		method: "POST",
		path: "/v1/endpoints/{endpoint_id}/key",
		summary: "New credentials for the endpoint itself; the ones made before stop working",
		params: byId,
		reply: endpointKey,
		faults: ["ENDPOINT_NOT_FOUND", "ENDPOINT_ACCESS_FORBIDDEN", "FORBIDDEN"],
		handle: (caller, { params }) => operations.makeEndpointKey(caller, params.endpoint_id),
	}),
	route({
		method: "PUT",
		path: "/v1/endpoints/{endpoint_id}/lease",
		summary: "Takes or renews the right to be the endpoint's one daemon",
		params: byId,
		body: leaseRequest,
		reply: lease,
		faults: ["ENDPOINT_NOT_FOUND", "ENDPOINT_ACCESS_FORBIDDEN", "LEASE_HELD"],
		handle: (caller, { params, body }) => operations.takeLease(caller, params.endpoint_id, body),
	}),
	route({
		method: "DELETE",
		path: "/v1/endpoints/{endpoint_id}/lease",
		summary: "Gives the lease back",
		params: byId,
		body: leaseRequest,
		reply: z.object({}),
		faults: ["ENDPOINT_NOT_FOUND", "ENDPOINT_ACCESS_FORBIDDEN", "LEASE_HELD"],
		handle: async (caller, { params, body }) => {
			await operations.releaseLease(caller, params.endpoint_id, body);
			return {};
		},
	}),
];
