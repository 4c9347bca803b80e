/** The registration of a user endpoint of ours, by the process that its manager has started. */
import { Fault } from "@errand/proto";
import type { EndpointRegistered, endpointRegistration } from "@errand/proto/rest";
import type * as z from "zod";
import { endpointKindOf, kindWords } from "../endpoint-kind.ts";
import type { Caller } from "../policy/caller.ts";
import { findUserEndpoint, setUserJournal, type UserEndpointRow } from "../store/user-endpoints.ts";
import { registeredAt } from "./broker-places.ts";
import { permit } from "./permission.ts";
import type { Ports } from "./ports.ts";

/** Throws unless a process of this user endpoint may work: asked for, and not ended since. */
export function requireAccess(
	row: Pick<UserEndpointRow, "id" | "endpoint_id" | "native" | "access"> | undefined,
): void {
	if (row?.native && row.access) return;
	throw new Fault(
		"ENDPOINT_ACCESS_FORBIDDEN",
		"This user endpoint has ended: its manager endpoint was locked, or deleted, or did not name it when it registered. Submit to that one to have it started again",
		{ args: row === undefined ? [] : [row.id, row.endpoint_id] },
	);
}

/** Throws the action's refusal to everybody but the process itself, and ENDPOINT_ACCESS_FORBIDDEN to one that has ended. */
export async function registerUserEndpoint(
	{ database, broker, dispatch, log }: Pick<Ports, "database" | "broker" | "dispatch" | "log">,
	caller: Caller,
	row: UserEndpointRow,
	input: z.output<typeof endpointRegistration>,
): Promise<EndpointRegistered> {
	const { id } = row;
	permit(caller, "user-endpoint.register", { endpointId: id }, id);
	requireAccess(row);
	const kind = endpointKindOf(input);
	const journal = input.metadata.errand_journal_id;
	if (kind !== "errand" || journal === undefined)
		throw new Fault(
			"SEMANTICALLY_INVALID",
			`user endpoint ${id} registers as ${kindWords.errand}, with errand_journal_id; this says it is ${kindWords[kind]}`,
			{ args: [id] },
		);
	const { url, queueExisted } = await broker.provisionEndpoint(id);
	// Ended meanwhile, it must not be left with a new password.
	const now = await findUserEndpoint(database, id);
	if (now?.access !== true) {
		await broker.revokeEndpoint(id);
		requireAccess(now);
	}
	if (!queueExisted || journal !== now?.journal_id) {
		// What was in the old queue or journal is gone. The journal's name is kept only when all is sent again.
		await setUserJournal(database, id, null);
		await dispatch.refillUserEndpoint(id);
		await setUserJournal(database, id, journal);
	}
	log.info({ endpoint: row.endpoint_id, userEndpoint: id, queueExisted }, "a user endpoint registered");
	return registeredAt(id, url);
}
