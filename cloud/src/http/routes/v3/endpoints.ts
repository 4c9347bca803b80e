import { type EndpointRegistered, endpointRegistered, endpointRegistration } from "@errand/proto/rest";
import * as z from "zod";
import { endpointKindOf, isOurs } from "../../../endpoint-kind.ts";
import type { Operations } from "../../../operations/operations.ts";
import type { BodyLimit } from "../../body.ts";
import { type Route, route } from "../../route.ts";
import { endpointId } from "../ids.ts";

const byId = z.object({ endpoint_id: endpointId });

/** Templates and schemas of real sites are some tens of kilobytes. */
export const registrationBodyLimit: BodyLimit = { bytes: 2 * 1024 * 1024, code: "TASK_PAYLOAD_TOO_LARGE" };

/** The kinds of reply in the public interface; which one an endpoint needs, its registration shows. */
export const registered = endpointRegistered.partial({
	task_queue_info: true,
	command_queue_info: true,
	report_queue_info: true,
});
type Registration = z.output<typeof endpointRegistration>;

/** Our daemon gets everything; a manager of the public interface takes commands, and what came before it takes tasks. */
export function replyFor(registration: Registration, all: EndpointRegistered): z.infer<typeof registered> {
	const kind = endpointKindOf(registration);
	if (isOurs(kind)) return all;
	const { task_queue_info, command_queue_info, report_queue_info: _ours, ...common } = all;
	return kind === "manager" ? { ...common, command_queue_info } : { ...common, task_queue_info };
}

const faults = ["ENDPOINT_NOT_FOUND", "ENDPOINT_ACCESS_FORBIDDEN", "RESOURCE_CONFLICT", "RESOURCE_LOCKED"] as const;

export const endpoints = (operations: Operations): Route[] => [
	route({
		method: "POST",
		path: "/v3/endpoints",
		summary: "Registers a new endpoint, or the caller's own of the same name",
		body: endpointRegistration,
		bodyLimit: registrationBodyLimit,
		reply: registered,
		faults,
		handle: async (caller, { body }) => replyFor(body, await operations.registerEndpoint(caller, undefined, body)),
	}),
	route({
		method: "PUT",
		path: "/v3/endpoints/{endpoint_id}",
		summary: "Registers an endpoint under its id",
		params: byId,
		body: endpointRegistration,
		bodyLimit: registrationBodyLimit,
		reply: registered,
		faults,
		handle: async (caller, { params, body }) =>
			replyFor(body, await operations.registerEndpoint(caller, params.endpoint_id, body)),
	}),
	route({
		method: "POST",
		path: "/v3/endpoints/{endpoint_id}/lock",
		summary: "Ends the endpoint's connections and refuses its registration for a while",
		params: byId,
		reply: z.object({ endpoint_id: z.uuid(), lock_expiration_timestamp: z.number() }),
		faults: ["ENDPOINT_NOT_FOUND", "ENDPOINT_ACCESS_FORBIDDEN"],
		handle: async (caller, { params }) => {
			const until = await operations.lockEndpoint(caller, params.endpoint_id);
			return { endpoint_id: params.endpoint_id, lock_expiration_timestamp: until.getTime() / 1000 };
		},
	}),
	route({
		method: "GET",
		path: "/v3/endpoints/{endpoint_id}/allowed_functions",
		summary: "Which functions the endpoint runs",
		params: byId,
		reply: z.object({ endpoint_id: z.uuid(), restricted: z.boolean(), functions: z.array(z.uuid()) }),
		faults: ["ENDPOINT_NOT_FOUND", "ENDPOINT_ACCESS_FORBIDDEN"],
		handle: async (caller, { params }) => ({
			endpoint_id: params.endpoint_id,
			...(await operations.allowedFunctions(caller, params.endpoint_id)),
		}),
	}),
];
