/** A start command, as far as it is one for this manager and still meant: who wants which user endpoint. */
import { Fault, type StartUserEndpointCommand } from "@errand/proto";
import { type Identity, identitySet } from "../multiuser/identity.ts";
import type { JsonObject } from "../multiuser/quoted-values.ts";

/** The field's own limit, for commands that waited and for clocks that differ. */
export const skewLimitMs = 180_000;

export interface StartRequest {
	readonly userEndpointId: string;
	/** Its directory's name in the account's home. */
	readonly name: string;
	readonly values: JsonObject;
	readonly runtime: JsonObject;
	/** Who submitted, in the cloud's words. */
	readonly identityId: string;
	readonly username: string;
	readonly identities: readonly Identity[];
	readonly credentials: StartUserEndpointCommand["kwargs"]["errand"];
	/** Where a start that fails is told. */
	readonly heartbeats: StartUserEndpointCommand["kwargs"]["amqp_creds"]["heartbeat_queue_info"];
}

/** Another manager's, or one that contradicts itself: nobody is told but the log. */
export class ForeignCommand extends Error {
	override readonly name = "ForeignCommand";
}

/** Throws a {@link ForeignCommand}. */
export function readStartRequest(command: StartUserEndpointCommand, managerId: string): StartRequest {
	const { kwargs, globus_username: username, globus_effective_identity: identityId } = command;
	const { amqp_creds: place, errand: credentials, name } = kwargs;
	const userEndpointId = place.endpoint_id;
	if (name !== `uep.${managerId}.${userEndpointId}`)
		throw new ForeignCommand(
			`the command names ${JSON.stringify(name.slice(0, 200))}, which is not user endpoint ${userEndpointId} of this manager (${managerId})`,
		);
	if (userEndpointId === managerId) throw new ForeignCommand("the command names this manager itself");
	const key = place.heartbeat_queue_info.queue_publish_kwargs.routing_key;
	if (key !== `${userEndpointId}.heartbeats`)
		throw new ForeignCommand(`the command would have this manager speak as ${JSON.stringify(key.slice(0, 200))}`);
	const identities = identitySet.safeParse(command.globus_identity_set);
	if (!identities.success || !identities.data.some(({ id }) => id === identityId))
		throw new ForeignCommand(`the command's identities do not have the one that asks (${identityId})`);
	return {
		userEndpointId,
		name,
		values: kwargs.user_opts as JsonObject,
		runtime: kwargs.user_runtime as JsonObject,
		identityId,
		username,
		identities: identities.data,
		credentials,
		heartbeats: place.heartbeat_queue_info,
	};
}

/** Throws a NOT_READY fault for a command that waited too long, or comes from a clock that differs too much. */
export function checkAge(sentAtMs: number | undefined, nowMs: number): void {
	const offMs = sentAtMs === undefined ? undefined : nowMs - sentAtMs;
	if (offMs !== undefined && Math.abs(offMs) <= skewLimitMs) return;
	const how = offMs === undefined ? "has no time" : `is ${Math.round(offMs / 1000)} s off this machine's clock`;
	throw new Fault(
		"NOT_READY",
		`the request to start your endpoint ${how} (${skewLimitMs / 1000} s at most): submit again; if this stays, the endpoint's administrator should look at the machine's clock`,
	);
}
