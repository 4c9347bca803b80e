import { Fault } from "@errand/proto";
import { type EndpointSummary, endpointRegistration, endpointStatusWord } from "@errand/proto/rest";
import * as z from "zod";
import type { Operations } from "../../../operations/operations.ts";
import type { Caller } from "../../../policy/caller.ts";
import { type Route, route } from "../../route.ts";
import { endpointId } from "../ids.ts";
import { registered, registrationBodyLimit, replyFor } from "../v3/endpoints.ts";
import { deleted } from "./functions.ts";

const byId = z.object({ endpoint_id: endpointId });
const notFound = ["ENDPOINT_NOT_FOUND", "ENDPOINT_ACCESS_FORBIDDEN"] as const;

/** What clients before version 3 send: the id in the body. */
const earlierRegistration = endpointRegistration.extend({ endpoint_uuid: endpointId.nullish() });

const listed = z.object({ uuid: z.uuid(), name: z.string(), display_name: z.string().nullable(), owner: z.uuid() });
const status = z.object({
	status: endpointStatusWord,
	details: z
		.object({
			total_workers: z.number(),
			idle_workers: z.number(),
			pending_tasks: z.number(),
			outstanding_tasks: z.number(),
			managers: z.number().optional(),
		})
		.optional(),
});

/** The list of the public interface has no pages; nobody has more endpoints than this. */
const listPages = 20;

async function listAll(operations: Operations, caller: Caller): Promise<EndpointSummary[]> {
	const all: EndpointSummary[] = [];
	let cursor: string | null = null;
	for (let pages = 0; pages < listPages; pages++) {
		const page: Awaited<ReturnType<Operations["listEndpoints"]>> = await operations.listEndpoints(caller, {
			limit: 1000,
			...(cursor !== null && { cursor }),
		});
		all.push(...page.items);
		cursor = page.next_cursor;
		if (cursor === null) return all;
	}
	throw new Fault("SEMANTICALLY_INVALID", "There are too many endpoints for one list: read them from /v1/endpoints.");
}

/** The numbers of the last heartbeat that the public interface knows. */
function detailsOf(summary: EndpointSummary): z.infer<typeof status>["details"] {
	const number = (name: string): number => {
		const value = summary.details[name];
		return typeof value === "number" ? value : 0;
	};
	if (Object.keys(summary.details).length === 0) return undefined;
	return {
		total_workers: number("total_workers"),
		idle_workers: number("idle_workers"),
		pending_tasks: number("pending_tasks"),
		outstanding_tasks: number("outstanding_tasks"),
		...(typeof summary.details.managers === "number" && { managers: summary.details.managers }),
	};
}

export const endpoints = (operations: Operations): Route[] => [
	route({
		method: "POST",
		path: "/v2/endpoints",
		summary: "Registers an endpoint; the earlier form",
		body: earlierRegistration,
		bodyLimit: registrationBodyLimit,
		reply: registered,
		faults: [...notFound, "RESOURCE_CONFLICT", "RESOURCE_LOCKED"],
		handle: async (caller, { body }) => {
			const { endpoint_uuid, ...registration } = body;
			return replyFor(
				registration,
				await operations.registerEndpoint(caller, endpoint_uuid ?? undefined, registration),
			);
		},
	}),
	route({
		method: "GET",
		path: "/v2/endpoints",
		summary: "The caller's endpoints; with role=any also those that are shared with the caller",
		query: z.object({ role: z.enum(["owner", "any"]).optional() }),
		reply: z.array(listed),
		handle: async (caller, { query }) =>
			[
				...(await listAll(operations, caller)),
				...(query.role === "any" ? await operations.listSharedEndpoints(caller) : []),
			].map((row) => ({
				uuid: row.id,
				name: row.name,
				display_name: row.display_name,
				owner: row.owner_id,
			})),
	}),
	route({
		method: "GET",
		path: "/v2/endpoints/{endpoint_id}",
		summary: "What the endpoint said at its registration",
		params: byId,
		reply: z.looseObject({ uuid: z.uuid(), name: z.string() }),
		faults: notFound,
		handle: async (caller, { params }) =>
			(await operations.getEndpointMetadata(caller, params.endpoint_id)) as { uuid: string; name: string },
	}),
	route({
		method: "GET",
		path: "/v2/endpoints/{endpoint_id}/status",
		summary: "Whether the endpoint is online, and how busy",
		params: byId,
		reply: status,
		faults: notFound,
		handle: async (caller, { params }) => {
			const summary = await operations.getEndpoint(caller, params.endpoint_id);
			const details = detailsOf(summary);
			return { status: summary.status, ...(details !== undefined && { details }) };
		},
	}),
	route({
		method: "DELETE",
		path: "/v2/endpoints/{endpoint_id}",
		summary: "Deletes an endpoint",
		params: byId,
		reply: deleted,
		faults: notFound,
		handle: async (caller, { params }) => {
			await operations.deleteEndpoint(caller, params.endpoint_id);
			return { result: 302 as const };
		},
	}),
	route({
		method: "POST",
		path: "/v2/endpoints/{endpoint_id}/lock",
		summary: "Ends the endpoint's connections and refuses its registration for a while; the earlier form",
		params: byId,
		reply: z.object({ endpoint_id: z.uuid(), lock_expiration_timestamp: z.string() }),
		faults: notFound,
		handle: async (caller, { params }) => {
			const until = await operations.lockEndpoint(caller, params.endpoint_id);
			return { endpoint_id: params.endpoint_id, lock_expiration_timestamp: until.toISOString() };
		},
	}),
];
