import { fileOutcomes, transferStatuses } from "@errand/proto";
import {
	agentAssignments,
	agentPoll,
	page,
	reportTaken,
	transferDocument,
	transferEvent,
	transferFile,
	transferReport,
	transferSubmission,
} from "@errand/proto/rest";
import * as z from "zod";
import type { Operations } from "../../../operations/operations.ts";
import type { BodyLimit } from "../../body.ts";
import { type Route, route } from "../../route.ts";
import { endpointId, given, pageQuery, transferId } from "../ids.ts";

const byId = z.object({ transfer_id: transferId });
const byAgent = z.object({ agent_id: endpointId });
const statuses = z.enum(transferStatuses);
const listQuery = pageQuery.extend({
	status: z.union([statuses, z.array(statuses)]).optional(),
	id_prefix: z
		.string()
		.regex(/^[0-9a-fA-F-]{4,36}$/, "is not the beginning of an id: at least 4 characters")
		.transform((text) => text.toLowerCase())
		.optional(),
});
const filesQuery = pageQuery.extend({ outcome: z.enum(fileOutcomes).optional() });
const notFound = ["TRANSFER_NOT_FOUND"] as const;
/** A thousand files with long names. */
const reportLimit: BodyLimit = { bytes: 8 * 1024 * 1024, code: "BATCH_RUN_TOO_LARGE" };
const submissionLimit: BodyLimit = { bytes: 10 * 1024 * 1024, code: "BATCH_RUN_TOO_LARGE" };

export const transfers = (operations: Operations): Route[] => [
	route({
		method: "POST",
		path: "/v1/transfers",
		summary: "Moves files from a collection of one endpoint to one of another",
		body: transferSubmission,
		bodyLimit: submissionLimit,
		reply: transferDocument,
		idempotent: true,
		faults: [
			"ENDPOINT_NOT_FOUND",
			"ENDPOINT_ACCESS_FORBIDDEN",
			"COLLECTION_NOT_FOUND",
			"COLLECTION_ACCESS_FORBIDDEN",
			"QUOTA_EXCEEDED",
			"IDEMPOTENCY_KEY_REUSED",
			"BATCH_RUN_TOO_LARGE",
		],
		handle: (caller, { body, idempotencyKey }) => operations.submitTransfer(caller, body, idempotencyKey),
	}),
	route({
		method: "GET",
		path: "/v1/transfers",
		summary: "The caller's transfers, newest first",
		query: listQuery,
		reply: page(transferDocument),
		handle: (caller, { query: { status, id_prefix, ...paging } }) =>
			operations.listTransfers(caller, {
				...given(paging),
				...(status && { statuses: [status].flat() }),
				...(id_prefix && { idPrefix: id_prefix }),
			}),
	}),
	route({
		method: "GET",
		path: "/v1/transfers/{transfer_id}",
		summary: "One transfer: its status, how much is done, and why it waits or failed",
		params: byId,
		reply: transferDocument,
		faults: notFound,
		handle: (caller, { params }) => operations.getTransfer(caller, params.transfer_id),
	}),
	route({
		method: "POST",
		path: "/v1/transfers/{transfer_id}/cancel",
		summary: "Ends a transfer; files that are complete stay",
		params: byId,
		reply: transferDocument,
		faults: notFound,
		handle: (caller, { params }) => operations.cancelTransfer(caller, params.transfer_id),
	}),
	route({
		method: "GET",
		path: "/v1/transfers/{transfer_id}/events",
		summary: "What has happened, oldest first",
		params: byId,
		query: pageQuery,
		reply: page(transferEvent),
		faults: notFound,
		handle: (caller, { params, query }) => operations.transferEvents(caller, params.transfer_id, given(query)),
	}),
	route({
		method: "GET",
		path: "/v1/transfers/{transfer_id}/files",
		summary: "What became of each file",
		params: byId,
		query: filesQuery,
		reply: page(transferFile),
		faults: notFound,
		handle: (caller, { params, query }) => operations.transferFiles(caller, params.transfer_id, given(query)),
	}),
	route({
		method: "POST",
		path: "/v1/transfers/{transfer_id}/reports",
		summary: "How far the destination's agent is",
		params: byId,
		body: transferReport,
		bodyLimit: reportLimit,
		reply: reportTaken,
		faults: [...notFound, "FORBIDDEN", "BATCH_RUN_TOO_LARGE"],
		handle: (caller, { params, body }) => operations.reportTransfer(caller, params.transfer_id, body),
	}),
	route({
		method: "PUT",
		path: "/v1/transfer-agents/{agent_id}",
		summary: "What moves an endpoint's files says that it is there, and waits for work",
		params: byAgent,
		body: agentPoll,
		reply: agentAssignments,
		faults: ["FORBIDDEN"],
		handle: (caller, { params, body }) => operations.pollTransferAgent(caller, params.agent_id, body),
	}),
];
