import { endpointShare, endpointSharing, endpointSummary, page } from "@errand/proto/rest";
import * as z from "zod";
import type { Operations } from "../../../operations/operations.ts";
import { type Route, route } from "../../route.ts";
import { endpointId, shareId } from "../ids.ts";

const byId = z.object({ endpoint_id: endpointId });
const byShare = z.object({ endpoint_id: endpointId, share_id: shareId });
const notFound = ["ENDPOINT_NOT_FOUND", "ENDPOINT_ACCESS_FORBIDDEN"] as const;

export const shares = (operations: Operations): Route[] => [
	route({
		method: "PUT",
		path: "/v1/endpoints/{endpoint_id}/shares",
		summary: "Lets an account or a group run functions on the endpoint, within limits",
		params: byId,
		body: endpointSharing,
		reply: endpointShare,
		faults: [...notFound, "ACCOUNT_NOT_FOUND", "AUTH_GROUP_NOT_FOUND", "RESOURCE_CONFLICT"],
		handle: (caller, { params, body }) => operations.shareEndpoint(caller, params.endpoint_id, body),
	}),
	route({
		method: "GET",
		path: "/v1/endpoints/{endpoint_id}/shares",
		summary: "Whom the endpoint is shared with",
		params: byId,
		reply: page(endpointShare),
		faults: notFound,
		handle: async (caller, { params }) => ({
			items: await operations.listShares(caller, params.endpoint_id),
			next_cursor: null,
		}),
	}),
	route({
		method: "DELETE",
		path: "/v1/endpoints/{endpoint_id}/shares/{share_id}",
		summary: "Ends a share: nothing more is taken from its guests",
		params: byShare,
		reply: z.object({}),
		faults: [...notFound, "SHARE_NOT_FOUND"],
		handle: async (caller, { params }) => {
			await operations.removeShare(caller, params.endpoint_id, params.share_id);
			return {};
		},
	}),
	route({
		method: "GET",
		path: "/v1/shared-endpoints",
		summary: "The endpoints of others that are shared with the caller",
		reply: page(endpointSummary),
		handle: async (caller) => ({ items: await operations.listSharedEndpoints(caller), next_cursor: null }),
	}),
];
