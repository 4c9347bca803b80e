/** Cancelling: here and now when no endpoint has the task, else by asking its endpoint until the task ends. */
import {
	cancelGraceMs,
	commandQueue,
	contentTypes,
	type EndpointCommand,
	type EndpointId,
	exchanges,
	Fault,
	type TaskId,
	taskStateToWire,
} from "@errand/proto";
import type { Caller } from "../policy/caller.ts";
import { may } from "../policy/policy.ts";
import { endingByCloud } from "../results/documents.ts";
import { insertAudit } from "../store/audit.ts";
import { findEndpoint } from "../store/endpoints.ts";
import { findGroup } from "../store/groups.ts";
import { markCancelRequested, ownersOfTasks, unfinishedIdsOfEndpoint, unfinishedIdsOfGroup } from "../store/tasks.ts";
import { findUserEndpoint } from "../store/user-endpoints.ts";
import type { Operations } from "./operations.ts";
import { permit } from "./permission.ts";
import type { Ports } from "./ports.ts";
import { isOnline } from "./presence.ts";
import { endpointThing } from "./standing.ts";

/** Ids in one command, and in one statement. */
const commandTasks = 1_000;
/** A broker that is away must not hold up the reply: the sweeper asks again. */
const commandPatienceMs = 2_000;

/** Asks an endpoint to stop tasks. It remembers ids that it does not know yet, so the order of messages does not matter. */
export async function askToCancel(
	ports: Pick<Ports, "publisher" | "log">,
	endpoint: EndpointId,
	ids: readonly TaskId[],
): Promise<void> {
	const sent: Promise<void>[] = [];
	for (let at = 0; at < ids.length; at += commandTasks) {
		const command: EndpointCommand = {
			command: "cmd_cancel_tasks",
			kwargs: { task_ids: ids.slice(at, at + commandTasks), grace_ms: cancelGraceMs },
		};
		sent.push(
			ports.publisher
				.publish(exchanges.commands, commandQueue(endpoint), Buffer.from(JSON.stringify(command)), {
					contentType: contentTypes.json,
					timestamp: Math.floor(Date.now() / 1000),
				})
				.catch((cause: unknown) => {
					ports.log.warn({ endpoint, reason: String(cause) }, "could not ask an endpoint to cancel; will ask again");
				}),
		);
	}
	let timer: NodeJS.Timeout | undefined;
	const patience = new Promise<void>((done) => {
		timer = setTimeout(done, commandPatienceMs);
	});
	await Promise.race([Promise.all(sent), patience]);
	clearTimeout(timer);
}

type CancelOutcome = Awaited<ReturnType<Operations["cancelTasks"]>>;

export function cancelOperations(ports: Ports): Pick<Operations, "cancelTasks"> {
	const { database, recorder } = ports;

	/** Of these, the tasks that are the caller's to cancel. */
	async function ownAmong(caller: Caller, ids: readonly TaskId[]): Promise<TaskId[]> {
		const rows = await ownersOfTasks(database, ids);
		return rows.filter((row) => may(caller, "task.cancel", { ownerId: row.owner_id })).map((row) => row.id);
	}

	/** All unfinished tasks there, whoever submitted them. */
	async function tasksOnEndpoint(caller: Caller, id: EndpointId): Promise<TaskId[]> {
		const row = await findEndpoint(database, id);
		if (row === undefined)
			throw new Fault("ENDPOINT_NOT_FOUND", `Endpoint ${id} could not be resolved`, { args: [id] });
		permit(caller, "endpoint.clear", endpointThing(row), id);
		const ids = await unfinishedIdsOfEndpoint(database, id);
		await insertAudit(database, caller, "endpoint.clear", id, { name: row.name, tasks: ids.length });
		return ids;
	}

	/** `permitted`: those of `ids` that the caller may cancel; of the others nothing is told. */
	async function cancelSome(
		permitted: readonly TaskId[],
		ids: readonly TaskId[],
		outcome: CancelOutcome,
	): Promise<void> {
		const mine = new Set(permitted);
		const marked = await markCancelRequested(database, [...mine]);
		/** With what they are told. */
		const here = new Map<TaskId, string>();
		const requested = new Set<TaskId>();
		// An endpoint of the public interface cannot be asked: the task ends here, and what its process says is dropped.
		for (const task of marked)
			if (task.public_form) here.set(task.id, "the task was cancelled; what its endpoint says is dropped");
		const ours = marked.filter((task) => !task.public_form);
		for (const [daemon, tasks] of Map.groupBy(ours, (task) => task.user_endpoint_id ?? task.endpoint_id)) {
			const row = (await findEndpoint(database, daemon)) ?? (await findUserEndpoint(database, daemon));
			const online = row !== undefined && isOnline(row, Date.now());
			for (const task of tasks)
				if (online || task.state !== taskStateToWire.received) requested.add(task.id);
				else here.set(task.id, "the task was cancelled before its endpoint took it");
			// Also for those that end here: they may wait in the endpoint's queue, and it drops ids that it was told.
			await askToCancel(
				ports,
				daemon,
				tasks.map((task) => task.id),
			);
		}
		await recorder.record(
			Array.from(here, ([id, message]) => endingByCloud(id, message)),
			false,
		);
		// Each list in the order that was asked.
		for (const id of ids) {
			if (here.has(id)) outcome.cancelled.push(id);
			else if (requested.has(id)) outcome.requested.push(id);
			else if (mine.has(id)) outcome.finished.push(id);
			else outcome.not_found.push(id);
		}
	}

	return {
		async cancelTasks(caller, what) {
			const wanted = new Set(what.taskIds ?? []);
			if (what.group !== undefined) {
				const group = await findGroup(database, what.group);
				permit(caller, "group.follow", group === undefined ? {} : { ownerId: group.owner_id }, what.group);
				for (const id of await unfinishedIdsOfGroup(database, what.group)) wanted.add(id);
			} else if (what.taskIds === undefined && what.endpoint === undefined)
				throw new Fault(
					"SEMANTICALLY_INVALID",
					"say which tasks to cancel: task_ids, or task_group_id for all of a group, or endpoint_id for all on an endpoint",
				);

			const outcome: CancelOutcome = { cancelled: [], requested: [], finished: [], not_found: [] };
			const ids = [...wanted];
			// A few at a time: who updates a hundred thousand rows at once holds up everybody who has one of them to report on.
			for (let at = 0; at < ids.length; at += commandTasks) {
				const some = ids.slice(at, at + commandTasks);
				await cancelSome(await ownAmong(caller, some), some, outcome);
			}
			const there = what.endpoint === undefined ? [] : await tasksOnEndpoint(caller, what.endpoint);
			for (let at = 0; at < there.length; at += commandTasks) {
				const some = there.slice(at, at + commandTasks);
				await cancelSome(some, some, outcome);
			}
			return outcome;
		},
	};
}
