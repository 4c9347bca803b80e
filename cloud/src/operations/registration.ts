/** Registering an endpoint: a new one, or one that is back. */
import { type AuthPolicyId, type EndpointId, Fault, newId, parseId } from "@errand/proto";
import type { endpointRegistration } from "@errand/proto/rest";
import type * as z from "zod";
import { endpointKindOf, kindWords } from "../endpoint-kind.ts";
import type { Caller } from "../policy/caller.ts";
import { insertAudit } from "../store/audit.ts";
import {
	countUnfinished,
	type EndpointRow,
	findEndpoint,
	findEndpointByName,
	isMissingReference,
	ownerOfEndpoint,
	type Registration,
	setJournal,
	upsertEndpoint,
} from "../store/endpoints.ts";
import { findUserEndpoint } from "../store/user-endpoints.ts";
import { requireAuthPolicy } from "./auth-policies.ts";
import { registeredAt } from "./broker-places.ts";
import type { Operations } from "./operations.ts";
import { permit } from "./permission.ts";
import type { Ports } from "./ports.ts";
import { endpointThing } from "./standing.ts";
import { registerUserEndpoint } from "./user-endpoint-registration.ts";

type Input = z.output<typeof endpointRegistration>;

export function registrationOperations(ports: Ports): Pick<Operations, "registerEndpoint"> {
	const { database, broker, dispatch, userEndpoints, keys, events, log } = ports;

	/** The row to renew, or the id of a new one; throws when the caller may not. */
	async function placeOf(
		caller: Caller,
		id: EndpointId | undefined,
		name: string,
	): Promise<{ id: EndpointId; earlier: EndpointRow | undefined }> {
		const earlier =
			id === undefined ? await findEndpointByName(database, caller.accountId, name) : await findEndpoint(database, id);
		if (earlier !== undefined) {
			permit(caller, "endpoint.register", endpointThing(earlier), earlier.id);
			return { id: earlier.id, earlier };
		}
		// Deleted a moment ago, while its token is still remembered.
		if (id !== undefined && id === caller.endpointId)
			throw new Fault("ENDPOINT_NOT_FOUND", `Endpoint ${id} could not be resolved`, { args: [id] });
		permit(caller, "endpoint.create");
		const owner = id === undefined ? undefined : await ownerOfEndpoint(database, id);
		if (id !== undefined && owner !== undefined)
			permit(caller, "endpoint.register", { ownerId: owner, endpointId: id }, id);
		return { id: id ?? newId<EndpointId>(), earlier: undefined };
	}

	/** Throws when what it was before has tasks that what it is now cannot take. True when it is another kind. */
	async function hasTurned(earlier: EndpointRow | undefined, input: Input): Promise<boolean> {
		if (earlier === undefined) return false;
		const [before, now] = [endpointKindOf(earlier.registration), endpointKindOf(input)];
		if (before === now) return false;
		const open = (await countUnfinished(database, [earlier.id])).get(earlier.id) ?? 0;
		if (open === 0) return true;
		throw new Fault(
			"RESOURCE_CONFLICT",
			`endpoint ${earlier.name} was ${kindWords[before]}, and has ${open} unfinished tasks from then; as ${kindWords[now]} it cannot ` +
				`take them. Cancel them first (errand task cancel --endpoint ${earlier.name}), or start it as it was`,
			{ args: [earlier.id, String(open)] },
		);
	}

	return {
		async registerEndpoint(caller, wanted, input) {
			const own = wanted === undefined ? undefined : await findUserEndpoint(database, wanted);
			if (own !== undefined) return await registerUserEndpoint(ports, caller, own, input);
			const { id, earlier } = await placeOf(caller, wanted, input.endpoint_name);
			const lockedMs = (earlier?.locked_until?.getTime() ?? 0) - Date.now();
			if (lockedMs > 0)
				throw new Fault("RESOURCE_LOCKED", `Endpoint ${id} is locked until ${earlier?.locked_until?.toISOString()}`, {
					args: [id],
					retryAfterS: Math.ceil(lockedMs / 1000),
				});
			// One that was deleted: whoever had its key then must not come back with it.
			if (earlier === undefined && wanted !== undefined) await keys.deleteEndpointKey(id);
			const turned = await hasTurned(earlier, input);
			const owner = earlier?.owner_id ?? caller.accountId;
			const authPolicy = parseId<AuthPolicyId>(input.authentication_policy ?? "") ?? null;
			// One that stays needs no right: an administrator of the endpoint may start it again as it is.
			if (authPolicy !== null && authPolicy !== earlier?.auth_policy_id)
				await requireAuthPolicy(database, caller, authPolicy, "policy.use");
			const stored = await storeEndpoint(database, {
				id,
				owner,
				name: input.endpoint_name,
				displayName: input.display_name ?? null,
				public: input.public ?? false,
				allowedFunctions: input.allowed_functions ?? null,
				registration: input,
				authPolicy,
			});
			if (!stored)
				throw new Fault(
					"RESOURCE_CONFLICT",
					`another endpoint of this account is named ${input.endpoint_name}; choose another name or delete that one`,
					{ args: [input.endpoint_name] },
				);
			const { url, queueExisted } = await broker.provisionEndpoint(id);
			const kind = endpointKindOf(input);
			const isManager = kind === "manager" || kind === "errand-manager";
			if (turned) await userEndpoints.remove(id);
			if (isManager) await userEndpoints.managerRegistered(id, input.metadata.errand_user_endpoints ?? []);
			const journal = input.metadata.errand_journal_id ?? null;
			if (!isManager && (!queueExisted || journal !== (earlier?.journal_id ?? null))) {
				// What was in the old queue or journal is gone. The journal's name is kept only when all is sent again.
				await dispatch.refill(id);
				await setJournal(database, id, journal);
			}
			await insertAudit(database, caller, "endpoint.register", id, {
				name: input.endpoint_name,
				public: input.public ?? false,
				...(input.multi_user && { multi_user: true }),
				...(input.admins && { admins: input.admins }),
				...(authPolicy !== null && { authentication_policy: authPolicy }),
			});
			events.emit("endpoint:changed", { endpoint: id });
			log.info({ endpoint: id, name: input.endpoint_name, queueExisted }, "an endpoint registered");
			return registeredAt(id, url);
		},
	};
}

/** As `upsertEndpoint`; the policy may have been deleted since it was looked at. */
async function storeEndpoint(database: Ports["database"], row: Registration): Promise<boolean> {
	try {
		return await upsertEndpoint(database, row);
	} catch (cause) {
		if (!isMissingReference(cause)) throw cause;
		throw new Fault("SEMANTICALLY_INVALID", `authentication policy ${row.authPolicy} was deleted meanwhile`, { cause });
	}
}
