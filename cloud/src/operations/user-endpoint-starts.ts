/**
 * Starts of user endpoints under way: the manager is told until the process has checked in or the manager says why it
 * cannot be started. One start at a time of each; whoever comes meanwhile shares its outcome.
 */
import {
	commandQueue,
	contentTypes,
	type EndpointId,
	exchanges,
	Fault,
	type FaultCode,
	lossLimit,
	type StartUserEndpointCommand,
	type TaskId,
	taskStateToWire,
} from "@errand/proto";
import type { CloudEvents } from "../observe/events.ts";
import { endingByCloud, failureDocument } from "../results/documents.ts";
import { accountById } from "../store/identity.ts";
import type { Ending } from "../store/results.ts";
import {
	findUserEndpoint,
	forgetStartError,
	markAsked,
	noteLosses,
	setUserJournal,
	type UserEndpointRow,
	unfinishedIdsOfUserEndpoint,
} from "../store/user-endpoints.ts";
import { credentialsAt } from "./broker-places.ts";
import type { UserEndpointPorts } from "./ports.ts";
import { startCommand } from "./start-command.ts";

export interface UserEndpointStarts {
	/** Undefined when none is under way. */
	underWay(id: EndpointId): Promise<void> | undefined;
	/**
	 * Resolves when the process has checked in, or after as long as a client waits for a reply.
	 * Throws SEMANTICALLY_INVALID with what the manager says when it cannot start one.
	 */
	start(row: UserEndpointRow): Promise<void>;
	/** The same for one that was asked for before, and may still come: nobody is asked again. */
	join(row: UserEndpointRow): Promise<void>;
	/**
	 * With nobody waiting for a reply: tasks that no process can be started for fail with the reason, unless that may
	 * pass. Then they wait for somebody to ask again.
	 */
	startAside(row: UserEndpointRow): void;
	close(): Promise<void>;
}

/** Clients of the public interface wait 60 s for a reply. */
export const checkInPatienceMs = 45_000;
/** The news may come to another cloud process. */
const lookAgainMs = 1_000;
/** Before a manager from whom nothing is heard is told once more. */
const commandAgainMs = 5_000;
/** The public interface's managers refuse older commands after 180 s. */
const commandExpiresMs = 120_000;
/** What the public interface's daemon says while one of the same name ends what it runs, as after its manager's death. */
const stillEnding = /another instance of this endpoint is running/i;
const endedTogether = 500;

/** What the manager says may pass. To who waits for a reply it is the same. */
class NotNow extends Fault {}

export function openUserEndpointStarts(ports: UserEndpointPorts): UserEndpointStarts {
	const { database, broker, publisher, dispatch, recorder, keys, events, log } = ports;
	let stopping = false;
	const starting = new Map<EndpointId, Promise<void>>();
	const aside = new Set<Promise<void>>();
	const bells = new Map<EndpointId, () => void>();
	const onHeartbeat = ({ endpoint }: CloudEvents["endpoint:heartbeat"][0]): void => bells.get(endpoint)?.();
	events.on("endpoint:heartbeat", onHeartbeat);

	function once(row: UserEndpointRow, begin: () => Promise<void>): Promise<void> {
		let start = starting.get(row.id);
		if (start === undefined) {
			start = begin().finally(() => starting.delete(row.id));
			starting.set(row.id, start);
		}
		return start;
	}
	const start = (row: UserEndpointRow): Promise<void> => once(row, () => ask(row));

	async function ask(row: UserEndpointRow): Promise<void> {
		const account = await accountById(database, row.owner_id);
		if (account === undefined) throw new Fault("ACCOUNT_NOT_FOUND", `account ${row.owner_id} is gone`);
		await markAsked(database, row.id);
		const { url, key } = row.native ? await admit(row) : await clear(row);
		await requireManager(row);
		const place = credentialsAt(row.id, url);
		const command = Buffer.from(JSON.stringify(startCommand({ row, account, place, key })));
		log.info({ endpoint: row.endpoint_id, userEndpoint: row.id }, "asking a manager for a user endpoint");
		await untilUp(row, command);
	}

	/** `command`: told again and again until then. */
	async function untilUp(row: UserEndpointRow, command?: Uint8Array): Promise<void> {
		const seenBefore = row.last_seen_at?.getTime() ?? 0;
		using news = listen(row.id);
		const untilMs = Date.now() + checkInPatienceMs;
		let commandDueMs = 0;
		while (Date.now() < untilMs && !stopping) {
			// Told while a process of that name is still ending, a manager forgets it when the end is a bad one.
			if (command !== undefined && Date.now() >= commandDueMs) {
				commandDueMs = Date.now() + commandAgainMs;
				await tell(row.endpoint_id, command);
			}
			await news.next(lookAgainMs);
			const now = await findUserEndpoint(database, row.id);
			if (now?.access !== true) throw withoutManager(row);
			if (now.active && (now.last_seen_at?.getTime() ?? 0) > seenBefore) return;
			if (now.start_error === null) continue;
			if (!stillEnding.test(now.start_error))
				throw new (now.start_error_transient ? NotNow : Fault)(
					"SEMANTICALLY_INVALID",
					`Request payload failed validation: ${now.start_error}`,
					{ args: [row.endpoint_id, row.id] },
				);
			await forgetStartError(database, row.id);
		}
		log.warn({ endpoint: row.endpoint_id, userEndpoint: row.id }, "a user endpoint has not checked in yet");
	}

	/** Locked or deleted while access was made, it must not be left with any. */
	async function requireManager(row: UserEndpointRow): Promise<void> {
		const now = await findUserEndpoint(database, row.id);
		if (now?.access === true) return;
		if (row.native) await keys.deleteEndpointKey(row.id);
		if (now === undefined) await broker.removeEndpoint(row.id);
		else await broker.revokeEndpoint(row.id);
		throw withoutManager(row);
	}

	type Admission = { url: string; key: StartUserEndpointCommand["kwargs"]["errand"] | undefined };

	/** Of ours: its key shuts out an earlier process, and its journal is the better memory of what that one had. */
	async function admit(row: UserEndpointRow): Promise<Admission> {
		const { url, queueExisted } = await broker.provisionEndpoint(row.id);
		// It registers with its journal's name, and gets everything again that is unfinished.
		if (!queueExisted) await setUserJournal(database, row.id, null);
		const { clientId, clientSecret } = await keys.createEndpointKey(row.id, row.owner_id);
		return {
			url,
			key: {
				cloud_url: ports.cloudUrl,
				client_id: clientId,
				client_secret: clientSecret,
				token_endpoint: ports.tokenEndpoint,
			},
		};
	}

	/** Of the public interface: a queue of its own time. What an earlier process left unread comes again from the rows, once. */
	async function clear(row: UserEndpointRow): Promise<Admission> {
		// It lived, said no farewell and is silent: what it had is lost with it.
		if (row.active) await countLosses(row.id);
		await broker.removeEndpoint(row.id);
		const { url } = await broker.provisionEndpoint(row.id);
		await dispatch.refillUserEndpoint(row.id);
		return { url, key: undefined };
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

	/** Hears of heartbeats of one, from now on; of each there is one start. */
	function listen(id: EndpointId): Disposable & { next(limitMs: number): Promise<void> } {
		let heard = Promise.withResolvers<void>();
		bells.set(id, () => heard.resolve());
		return {
			async next(limitMs) {
				const timer = setTimeout(() => heard.resolve(), limitMs);
				await heard.promise;
				clearTimeout(timer);
				heard = Promise.withResolvers<void>();
			},
			[Symbol.dispose]: () => void bells.delete(id),
		};
	}

	async function failTasks(row: UserEndpointRow, reason: string): Promise<void> {
		const message = `the endpoint could not start the process for this task: ${reason}`;
		for (;;) {
			const ids = await unfinishedIdsOfUserEndpoint(database, row.id, endedTogether);
			await recorder.record(failures(ids, "RESOURCES_UNAVAILABLE", message), false);
			if (ids.length < endedTogether) return;
		}
	}

	return {
		underWay: (id) => starting.get(id),
		start,
		join: (row) => once(row, () => untilUp(row)),
		startAside(row) {
			const work = start(row)
				.catch(async (cause: unknown) => {
					if (!(cause instanceof Fault) || cause.code !== "SEMANTICALLY_INVALID" || cause instanceof NotNow)
						throw cause;
					await failTasks(row, cause.message);
				})
				.catch((cause: unknown) =>
					log.warn(
						{ userEndpoint: row.id, reason: String(cause) },
						"could not ask for a user endpoint; will ask again",
					),
				)
				.finally(() => aside.delete(work));
			aside.add(work);
		},
		async close() {
			stopping = true;
			events.off("endpoint:heartbeat", onHeartbeat);
			for (const ring of bells.values()) ring();
			await Promise.all([...aside, ...[...starting.values()].map((start) => start.catch(() => undefined))]);
		},
	};
}

function withoutManager({ endpoint_id: manager }: UserEndpointRow): Fault {
	return new Fault(
		"ENDPOINT_ACCESS_FORBIDDEN",
		`endpoint ${manager} was locked or deleted while it was asked to start a process for you`,
		{ args: [manager] },
	);
}

function failures(ids: readonly TaskId[], code: FaultCode, message: string): Ending[] {
	return ids.map((id) => ({
		...endingByCloud(id, message),
		state: taskStateToWire.failed,
		failure: failureDocument(code, message),
	}));
}
