/**
 * User endpoints: before tasks go to an endpoint of the public interface, its manager is asked for a process for this
 * account, configuration and runtime, with a queue and a broker user of its own. One that has gone with tasks left is
 * asked for again.
 */
import { createHash } from "node:crypto";
import {
	commandQueue,
	contentTypes,
	type EndpointId,
	exchanges,
	Fault,
	type FaultCode,
	idFromBytes,
	lossLimit,
	routingKey,
	type TaskId,
	taskQueue,
	taskStateToWire,
} from "@errand/proto";
import type { submission } from "@errand/proto/rest";
import type * as z from "zod";
import { endpointKindOf } from "../endpoint-kind.ts";
import type { CloudEvents } from "../observe/events.ts";
import type { Caller } from "../policy/caller.ts";
import { endingByCloud, failureDocument } from "../results/documents.ts";
import { type EndpointRow, findEndpoint } from "../store/endpoints.ts";
import { accountById } from "../store/identity.ts";
import type { Ending } from "../store/results.ts";
import {
	deleteUserEndpoints,
	ensureUserEndpoint,
	findUserEndpoint,
	forgetStartError,
	markAsked,
	markEnded,
	noteLosses,
	type UserEndpointRow,
	unfinishedIdsOfUserEndpoint,
	userEndpointsOf,
	wantedUserEndpoints,
} from "../store/user-endpoints.ts";
import { isOnline } from "./endpoints.ts";
import type { Ports } from "./ports.ts";
import { startCommand } from "./start-command.ts";

export interface UserEndpoints {
	/**
	 * Whom the tasks of this submit go to: null for our own daemons. Waits until a new process has checked in; one that
	 * takes longer than a client waits for a reply, or whose manager is offline, gets its tasks when it comes.
	 * Throws SEMANTICALLY_INVALID with what the manager says when it cannot start one.
	 */
	forSubmit(caller: Caller, endpoint: EndpointRow, input: z.output<typeof submission>): Promise<EndpointId | null>;
	/** The same for a task that had one before. */
	again(endpoint: EndpointRow, id: EndpointId): Promise<EndpointId>;
	/** A manager has registered: what ran under the one before has ended, and what has tasks is asked for again. */
	managerRegistered(endpoint: EndpointId): Promise<void>;
	/** Ends the connections of all user endpoints of a manager. */
	revoke(endpoint: EndpointId): Promise<void>;
	/** As revoke, and their queues and rows go too. */
	remove(endpoint: EndpointId): Promise<void>;
	/** Asks again for those that are gone and have tasks. */
	sweep(): Promise<void>;
	close(): Promise<void>;
}

/** Clients of the public interface wait 60 s for a reply. */
const checkInPatienceMs = 45_000;
/** The news may come to another cloud process. */
const lookAgainMs = 1_000;
/** Before a manager from whom nothing is heard is told once more. */
const commandAgainMs = 5_000;
/** The public interface's managers refuse older commands after 180 s. */
const commandExpiresMs = 120_000;
/** Before one that has not checked in is asked for again. */
const askAgainMs = 90_000;
/** What the public interface's daemon says while one of the same name ends what it runs, as after its manager's death. */
const stillEnding = /another instance of this endpoint is running/i;
const missedHeartbeats = 3;
const defaultHeartbeatMs = 30_000;
const endedTogether = 500;

function isAlive(row: UserEndpointRow, nowMs: number): boolean {
	if (!row.active || row.last_seen_at === null) return false;
	return nowMs - row.last_seen_at.getTime() <= missedHeartbeats * (row.heartbeat_period_ms ?? defaultHeartbeatMs);
}

type UserEndpointPorts = Pick<Ports, "database" | "broker" | "publisher" | "dispatch" | "recorder" | "events" | "log">;

export function openUserEndpoints(ports: UserEndpointPorts): UserEndpoints {
	const { database, broker, publisher, dispatch, recorder, events, log } = ports;
	const stopping = new AbortController();
	const starting = new Map<EndpointId, Promise<void>>();
	const background = new Set<Promise<void>>();

	/** One start at a time of each; whoever comes meanwhile shares its outcome. */
	function start(row: UserEndpointRow): Promise<void> {
		let start = starting.get(row.id);
		if (start === undefined) {
			start = ask(row).finally(() => starting.delete(row.id));
			starting.set(row.id, start);
		}
		return start;
	}

	async function ask(row: UserEndpointRow): Promise<void> {
		const account = await accountById(database, row.owner_id);
		if (account === undefined) throw new Fault("ACCOUNT_NOT_FOUND", `account ${row.owner_id} is gone`);
		const seenBefore = row.last_seen_at?.getTime() ?? 0;
		await markAsked(database, row.id);
		// It lived, said no farewell and is silent: what it had is lost with it.
		if (row.active) await countLosses(row.id);
		// A queue of its own time: what an earlier process left unread comes again from the rows, once.
		await broker.removeEndpoint(row.id);
		const { url } = await broker.provisionEndpoint(row.id);
		await dispatch.refillUserEndpoint(row.id);
		using news = listen(row.id);
		const command = Buffer.from(JSON.stringify(startCommand({ row, account, place: placeOf(row.id, url) })));
		log.info({ endpoint: row.endpoint_id, userEndpoint: row.id }, "asking a manager for a user endpoint");
		const untilMs = Date.now() + checkInPatienceMs;
		let commandDueMs = 0;
		while (Date.now() < untilMs && !stopping.signal.aborted) {
			// Told while a process of that name is still ending, a manager forgets it when the end is a bad one.
			if (Date.now() >= commandDueMs) {
				commandDueMs = Date.now() + commandAgainMs;
				await tell(row.endpoint_id, command);
			}
			await news.next(lookAgainMs);
			const now = await findUserEndpoint(database, row.id);
			if (now === undefined || (now.active && (now.last_seen_at?.getTime() ?? 0) > seenBefore)) return;
			if (now.start_error !== null) {
				if (!stillEnding.test(now.start_error))
					throw new Fault("SEMANTICALLY_INVALID", `Request payload failed validation: ${now.start_error}`, {
						args: [row.endpoint_id, row.id],
					});
				await forgetStartError(database, row.id);
			}
		}
		log.warn({ endpoint: row.endpoint_id, userEndpoint: row.id }, "a user endpoint has not checked in yet");
	}

	/** A task under which the process dies again and again may be what kills it. */
	async function countLosses(id: EndpointId): Promise<void> {
		const given = await noteLosses(database, id, "its process at the endpoint was lost; it is sent again", lossLimit);
		const message = `the process at the endpoint was lost ${lossLimit} times with this task`;
		for (let at = 0; at < given.length; at += endedTogether)
			await recorder.record(failures(given.slice(at, at + endedTogether), "LOST", message), false);
	}

	async function tell(manager: EndpointId, command: Uint8Array): Promise<void> {
		await publisher.publish(exchanges.commands, commandQueue(manager), command, {
			contentType: contentTypes.json,
			timestamp: Math.floor(Date.now() / 1000),
			expirationMs: commandExpiresMs,
		});
	}

	/** Hears of heartbeats of one, from now on. */
	function listen(id: EndpointId): Disposable & { next(limitMs: number): Promise<void> } {
		let heard = Promise.withResolvers<void>();
		const onHeartbeat = ({ endpoint }: CloudEvents["endpoint:heartbeat"][0]): void => {
			if (endpoint === id) heard.resolve();
		};
		const onStop = (): void => heard.resolve();
		events.on("endpoint:heartbeat", onHeartbeat);
		stopping.signal.addEventListener("abort", onStop);
		return {
			async next(limitMs) {
				const timer = setTimeout(() => heard.resolve(), limitMs);
				await heard.promise;
				clearTimeout(timer);
				heard = Promise.withResolvers<void>();
			},
			[Symbol.dispose]() {
				events.off("endpoint:heartbeat", onHeartbeat);
				stopping.signal.removeEventListener("abort", onStop);
			},
		};
	}

	/** With nobody waiting for a reply: tasks that no process can be started for fail with the reason. */
	function startAside(row: UserEndpointRow): void {
		const work = start(row)
			.catch(async (cause: unknown) => {
				if (!(cause instanceof Fault) || cause.code !== "SEMANTICALLY_INVALID") throw cause;
				await failTasks(row, cause.message);
			})
			.catch((cause: unknown) =>
				log.warn({ userEndpoint: row.id, reason: String(cause) }, "could not ask for a user endpoint; will ask again"),
			)
			.finally(() => background.delete(work));
		background.add(work);
	}

	async function failTasks(row: UserEndpointRow, reason: string): Promise<void> {
		const message = `the endpoint could not start the process for this task: ${reason}`;
		for (;;) {
			const ids = await unfinishedIdsOfUserEndpoint(database, row.id, endedTogether);
			await recorder.record(failures(ids, "RESOURCES_UNAVAILABLE", message), false);
			if (ids.length < endedTogether) return;
		}
	}

	async function wake(endpoint: EndpointRow, row: UserEndpointRow): Promise<EndpointId> {
		const underWay = starting.get(row.id);
		if (underWay !== undefined) await underWay;
		// Of an endpoint that is away nothing is asked: its registration asks for everything that has tasks.
		else if (!isAlive(row, Date.now()) && isOnline(endpoint, Date.now())) await start(row);
		return row.id;
	}

	async function startWanted(rows: readonly UserEndpointRow[]): Promise<void> {
		const nowMs = Date.now();
		for (const row of rows) {
			const askedLately = row.asked_at !== null && nowMs - row.asked_at.getTime() < askAgainMs;
			const checkedIn = row.last_seen_at !== null && row.asked_at !== null && row.last_seen_at > row.asked_at;
			if (isAlive(row, nowMs) || starting.has(row.id) || (askedLately && !checkedIn)) continue;
			const manager = await findEndpoint(database, row.endpoint_id);
			if (manager !== undefined && isOnline(manager, nowMs)) startAside(row);
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
			.finally(() => background.delete(work));
		background.add(work);
	};
	events.on("endpoint:heartbeat", onFarewell);

	return {
		async forSubmit(caller, endpoint, input) {
			const kind = endpointKindOf(endpoint.registration);
			if (kind === "errand") return null;
			if (kind === "single") return endpoint.id;
			const config = input.user_endpoint_config ?? {};
			const runtime = input.user_runtime ?? {};
			const row = await ensureUserEndpoint(database, {
				id: userEndpointIdOf(endpoint.id, caller.accountId, config, runtime),
				endpoint_id: endpoint.id,
				owner_id: caller.accountId,
				config,
				runtime,
			});
			return await wake(endpoint, row);
		},

		async again(endpoint, id) {
			const row = await findUserEndpoint(database, id);
			return row === undefined ? id : await wake(endpoint, row);
		},

		async managerRegistered(endpoint) {
			await markEnded(database, endpoint);
			for (const row of await wantedUserEndpoints(database, endpoint)) startAside({ ...row, active: false });
		},

		async revoke(endpoint) {
			for (const row of await userEndpointsOf(database, endpoint)) await broker.revokeEndpoint(row.id);
			await markEnded(database, endpoint);
		},

		async remove(endpoint) {
			for (const row of await userEndpointsOf(database, endpoint)) await broker.removeEndpoint(row.id);
			await deleteUserEndpoints(database, endpoint);
		},

		async sweep() {
			await startWanted(await wantedUserEndpoints(database));
		},

		async close() {
			events.off("endpoint:heartbeat", onFarewell);
			stopping.abort();
			await Promise.all([...background, ...[...starting.values()].map((start) => start.catch(() => undefined))]);
		},
	};
}

function failures(ids: readonly TaskId[], code: FaultCode, message: string): Ending[] {
	return ids.map((id) => ({
		...endingByCloud(id, message),
		state: taskStateToWire.failed,
		failure: failureDocument(code, message),
	}));
}

/** The same for the same account, configuration and versions of what serializes; nobody can choose it. */
function userEndpointIdOf(
	endpoint: EndpointId,
	account: string,
	config: Record<string, unknown>,
	runtime: Record<string, unknown>,
): EndpointId {
	const word = (value: unknown): string => (typeof value === "string" ? (value.split(/\s/)[0] ?? "") : "");
	const versions = [word(runtime.python_version), word(runtime.globus_compute_sdk_version)];
	const text = JSON.stringify(["user endpoint", endpoint, account, ordered(config), versions]);
	const bytes = createHash("sha256").update(text).digest().subarray(0, 16);
	bytes[6] = ((bytes[6] as number) & 0x0f) | 0x80;
	bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
	return idFromBytes<EndpointId>(bytes);
}

/** With the keys of objects in order. */
function ordered(value: unknown): unknown {
	if (Array.isArray(value)) return value.map(ordered);
	if (typeof value !== "object" || value === null) return value;
	const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
	return entries.map(([key, inner]) => [key, ordered(inner)]);
}

function placeOf(id: EndpointId, url: string) {
	const publishPlace = (queue: "results" | "heartbeats") => ({
		connection_url: url,
		exchange: exchanges[queue],
		queue,
		queue_publish_kwargs: {
			exchange: exchanges[queue],
			routing_key: routingKey(id, queue),
			mandatory: true,
			properties: { delivery_mode: 2 },
		},
	});
	return {
		endpoint_id: id,
		task_queue_info: { connection_url: url, exchange: exchanges.tasks, queue: taskQueue(id) },
		result_queue_info: publishPlace("results"),
		heartbeat_queue_info: publishPlace("heartbeats"),
	};
}
