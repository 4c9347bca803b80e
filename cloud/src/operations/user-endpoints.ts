/**
 * User endpoints: before tasks go to a manager endpoint, it is asked for a process for this account, configuration and
 * runtime, with a queue and a broker user of its own. One that has gone with tasks left is asked for again.
 */
import { type EndpointId, Fault, newId } from "@errand/proto";
import type { EndpointRegistration, submission } from "@errand/proto/rest";
import type * as z from "zod";
import { endpointKindOf } from "../endpoint-kind.ts";
import type { CloudEvents } from "../observe/events.ts";
import type { Caller } from "../policy/caller.ts";
import { type EndpointRow, findEndpoint } from "../store/endpoints.ts";
import type { NewTasks } from "../store/tasks.ts";
import {
	deleteIdleUserEndpoint,
	deleteUserEndpoints,
	ensureUserEndpoint,
	findUserEndpoint,
	idleUserEndpoints,
	markEnded,
	type UserEndpointRow,
	unfinishedIdsOfUserEndpoint,
	userEndpointsOf,
	wantedUserEndpoints,
} from "../store/user-endpoints.ts";
import type { UserEndpointPorts } from "./ports.ts";
import { isOnline } from "./presence.ts";
import { userEndpointKey } from "./user-endpoint-key.ts";
import { checkInPatienceMs, openUserEndpointStarts } from "./user-endpoint-starts.ts";

/** Who takes the tasks of a submit, and in which form. */
type Receiver = Pick<NewTasks, "userEndpoint" | "publicForm">;

export interface UserEndpoints {
	/**
	 * Whom the tasks of this submit go to. Waits until a new process has checked in; one that takes longer than a client
	 * waits for a reply, or whose manager is offline, gets its tasks when it comes.
	 * Throws SEMANTICALLY_INVALID with what the manager says when it cannot start one.
	 */
	forSubmit(caller: Caller, endpoint: EndpointRow, input: z.output<typeof submission>): Promise<Receiver>;
	/** The same for a task that was sent to this one before; null: to the endpoint's own daemon. */
	again(endpoint: EndpointRow, before: EndpointId | null): Promise<Receiver>;
	/** A manager has registered: what it does not run any more has ended, and what of that has tasks is asked for again. */
	managerRegistered(endpoint: EndpointId, running: readonly string[]): Promise<void>;
	/** Ends the access of all user endpoints of a manager. */
	revoke(endpoint: EndpointId): Promise<void>;
	/** As revoke, and their queues and rows go too. */
	remove(endpoint: EndpointId): Promise<void>;
	/** Asks again for those that are gone and have tasks. */
	sweep(): Promise<void>;
	/** Removes those that nobody has used or heard of since then. */
	forget(before: Date): Promise<void>;
	close(): Promise<void>;
}

/**
 * Before one that has not checked in is asked for again. Asking shuts out a process of ours that is slow to come up, and
 * its manager says when a start has failed: so there is time.
 */
const askAgainMs = { native: 300_000, public: 90_000 } as const;
/** Before one is asked for again whose manager could not start it then. No process is under way that this would shut out. */
const refusedAgainMs = 60_000;

/** In one round: a broker is asked for each. */
const forgottenTogether = 100;

const toOwnDaemon: Receiver = { userEndpoint: null, publicForm: false };

export function openUserEndpoints(ports: UserEndpointPorts): UserEndpoints {
	const { database, broker, keys, events, log } = ports;
	const starts = openUserEndpointStarts(ports);
	const farewells = new Set<Promise<void>>();
	/** While the cloud or the broker was away nobody could be heard. */
	let hearingSinceMs = Date.now();
	const onConnected = (): void => {
		hearingSinceMs = Date.now();
	};
	events.on("broker:connected", onConnected);

	const isAlive = (row: UserEndpointRow, nowMs: number): boolean => isOnline(row, nowMs, hearingSinceMs);

	async function wake(endpoint: EndpointRow, row: UserEndpointRow): Promise<Receiver> {
		const underWay = starts.underWay(row.id);
		const nowMs = Date.now();
		if (underWay !== undefined) await underWay;
		// Of an endpoint that is away nothing is asked: its registration asks for everything that has tasks.
		else if (!isAlive(row, nowMs) && isOnline(endpoint, nowMs)) {
			if (row.native && isAwaited(row, nowMs, askAgainMs.native)) await starts.join(row);
			else await starts.start(row);
		}
		return { userEndpoint: row.id, publicForm: !row.native };
	}

	async function startWanted(rows: readonly UserEndpointRow[]): Promise<void> {
		const nowMs = Date.now();
		for (const row of rows) {
			if (isAlive(row, nowMs) || starts.underWay(row.id) !== undefined) continue;
			if (isAwaited(row, nowMs, askAgainMs[row.native ? "native" : "public"]) || isRefused(row, nowMs)) continue;
			const manager = await findEndpoint(database, row.endpoint_id);
			if (manager !== undefined && isOnline(manager, nowMs)) starts.startAside(row);
		}
	}

	/** It has said farewell, perhaps just when tasks came for it. */
	const onFarewell = ({ endpoint, state }: CloudEvents["endpoint:heartbeat"][0]): void => {
		if (state.active !== false || typeof state.error === "string") return;
		const work = findUserEndpoint(database, endpoint)
			.then(async (row) => {
				if (row === undefined || (await unfinishedIdsOfUserEndpoint(database, row.id, 1)).length === 0) return;
				await startWanted([row]);
			})
			.catch((cause: unknown) => log.warn({ userEndpoint: endpoint, reason: String(cause) }, "will look again"))
			.finally(() => farewells.delete(work));
		farewells.add(work);
	};
	events.on("endpoint:heartbeat", onFarewell);

	/** Its access first: what it says afterwards does not make it live again. */
	async function end(row: UserEndpointRow): Promise<void> {
		await markEnded(database, row.id);
		if (row.native) await keys.deleteEndpointKey(row.id);
		await broker.revokeEndpoint(row.id);
	}

	/** The command may still be on its way to the manager, with the access that it has now. */
	const isExpected = (row: UserEndpointRow, nowMs: number): boolean =>
		starts.underWay(row.id) !== undefined || isAwaited(row, nowMs, checkInPatienceMs);

	return {
		async forSubmit(caller, endpoint, input) {
			const kind = endpointKindOf(endpoint.registration);
			if (kind === "errand") return toOwnDaemon;
			if (kind === "single") return { userEndpoint: endpoint.id, publicForm: true };
			const native = kind === "errand-manager";
			if (native && !servesOthers(endpoint) && caller.accountId !== endpoint.owner_id)
				throw new Fault(
					"ENDPOINT_ACCESS_FORBIDDEN",
					`Endpoint ${endpoint.id} starts processes for nobody but its owner: it does not run as root with an identity mapping`,
					{ args: [endpoint.id] },
				);
			const config = input.user_endpoint_config ?? {};
			const runtime = input.user_runtime ?? {};
			const key = userEndpointKey({ manager: endpoint.id, native, account: caller.accountId, config, runtime });
			const row = await ensureUserEndpoint(database, key, {
				id: newId<EndpointId>(),
				endpoint_id: endpoint.id,
				owner_id: caller.accountId,
				config,
				runtime,
				native,
			});
			return await wake(endpoint, row);
		},

		async again(endpoint, before) {
			const kind = endpointKindOf(endpoint.registration);
			if (kind === "errand") return toOwnDaemon;
			if (kind === "single") return { userEndpoint: endpoint.id, publicForm: true };
			const row = before === null ? undefined : await findUserEndpoint(database, before);
			if (row !== undefined) return await wake(endpoint, row);
			throw new Fault(
				"SEMANTICALLY_INVALID",
				`endpoint ${endpoint.name} has become a manager endpoint since this task ran, or was deleted in between: its configuration is not known. Submit it anew`,
				{ args: [endpoint.id] },
			);
		},

		async managerRegistered(endpoint, running) {
			const living = new Set(running);
			const nowMs = Date.now();
			const rows = await userEndpointsOf(database, endpoint);
			const gone = rows.filter((row) => !living.has(row.id) && !isExpected(row, nowMs));
			for (const row of gone) if (row.access) await end(row);
			const goneIds = new Set(gone.map((row) => row.id));
			for (const row of await wantedUserEndpoints(database, endpoint))
				if (goneIds.has(row.id) || !row.access) starts.startAside(row);
		},

		async revoke(endpoint) {
			for (const row of await userEndpointsOf(database, endpoint)) await end(row);
		},

		async remove(endpoint) {
			for (const row of await userEndpointsOf(database, endpoint)) {
				await end(row);
				await broker.removeEndpoint(row.id);
			}
			await deleteUserEndpoints(database, endpoint);
		},

		async sweep() {
			await startWanted(await wantedUserEndpoints(database));
		},

		async forget(before) {
			for (const row of await idleUserEndpoints(database, before, forgottenTogether)) {
				await end(row);
				await broker.removeEndpoint(row.id);
				await deleteIdleUserEndpoint(database, before, row.id);
			}
		},

		async close() {
			events.off("endpoint:heartbeat", onFarewell);
			events.off("broker:connected", onConnected);
			await Promise.all(farewells);
			await starts.close();
		},
	};
}

/** Whether identities are mapped to accounts; else the manager starts processes as itself. */
function servesOthers({ registration }: Pick<EndpointRow, "registration">): boolean {
	return (registration as Partial<EndpointRegistration>).multi_user === true;
}

/** Asked for less than this long ago, and neither checked in since nor failed. */
function isAwaited(row: UserEndpointRow, nowMs: number, limitMs: number): boolean {
	const { asked_at: asked, last_seen_at: seen, start_error: error } = row;
	if (asked === null || error !== null || (seen !== null && seen > asked)) return false;
	return nowMs - asked.getTime() < limitMs;
}

/** Just now, for a reason that may pass. */
const isRefused = ({ start_error_transient: transient, asked_at: asked }: UserEndpointRow, nowMs: number): boolean =>
	transient && asked !== null && nowMs - asked.getTime() < refusedAgainMs;
