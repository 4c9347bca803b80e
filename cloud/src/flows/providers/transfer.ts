/** The built-in provider that moves files between endpoints, in the run owner's name. Its end is told by the transfer's. */
import type { TransferId } from "@errand/proto";
import type { Json } from "@errand/proto/flow";
import type { TransferDocument } from "@errand/proto/rest";
import type { Operations } from "../../operations/operations.ts";
import type { Database } from "../../store/pool.ts";
import { ownerOf, translated } from "./owner.ts";
import { type Answer, type Ask, type Provider, Refusal } from "./provider.ts";
import { readTransferBody } from "./transfer-body.ts";

/** For an end that another cloud process was told of. */
const askAgainMs = 5_000;

export function transferProvider(ports: {
	database: Database;
	operations: Pick<Operations, "submitTransfer" | "getTransfer" | "cancelTransfer">;
}): Provider {
	const { database, operations } = ports;
	const status = async (ask: Ask): Promise<Answer> =>
		answer(ask, await translated(async () => operations.getTransfer(await ownerOf(database, ask), idOf(ask))));
	return {
		async run(ask) {
			const input = bodyOf(ask);
			return answer(
				ask,
				await translated(async () => operations.submitTransfer(await ownerOf(database, ask), input, ask.requestId)),
			);
		},
		status,
		// One whose ends are away goes on by itself when they are back.
		resume: status,
		async cancel(ask) {
			return answer(
				ask,
				await translated(async () => operations.cancelTransfer(await ownerOf(database, ask), idOf(ask))),
			);
		},
	};
}

const idOf = (ask: Ask): TransferId => ask.actionId as TransferId;

function bodyOf(ask: Ask): ReturnType<typeof readTransferBody> {
	try {
		return readTransferBody(ask.body, ask.label);
	} catch (cause) {
		throw new Refusal((cause as Error).message);
	}
}

function answer(ask: Ask, transfer: TransferDocument): Answer {
	// While an end is away the run goes on waiting: nobody has to do anything for it but bring that end back.
	const status = transfer.status === "INACTIVE" ? "ACTIVE" : transfer.status;
	const { counters, nice_status, nice_status_description: description, fatal_error } = transfer;
	return {
		status,
		actionId: transfer.id,
		askAgainMs,
		newsOf: transfer.id as TransferId,
		document: {
			action_id: transfer.id,
			status,
			display_status: status === "ACTIVE" ? nice_status : status,
			creator_id: `urn:globus:auth:identity:${ask.owner}`,
			label: ask.label,
			start_time: transfer.created_at,
			completion_time: transfer.completed_at,
			release_after: null,
			monitor_by: [],
			manage_by: [],
			details: {
				task_id: transfer.id,
				status: transfer.status,
				nice_status,
				description,
				source_endpoint: transfer.source_endpoint,
				destination_endpoint: transfer.destination_endpoint,
				items: transfer.items as unknown as Json,
				used_route: transfer.used_route,
				...counters,
				effective_bytes_per_second: transfer.effective_bytes_per_second,
				...(fatal_error && { error: fatal_error.code, fatal_error: { ...fatal_error } }),
			},
		},
	};
}
