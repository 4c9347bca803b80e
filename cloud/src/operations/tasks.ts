/** Reading tasks, groups and results. */
import { type AccountId, Fault, isFinal, newId, type TaskGroupId, type TaskId, taskStateToWire } from "@errand/proto";
import type { StreamResult, TaskDocument, TaskSummary } from "@errand/proto/rest";
import type { Caller } from "../policy/caller.ts";
import { may } from "../policy/policy.ts";
import {
	beyondPublicInterface,
	stateWord,
	streamResultOfRow,
	toReference,
	tracebackOf,
	versionsOf,
} from "../results/documents.ts";
import { wholeValue } from "../results/recorder.ts";
import { findEndpoint } from "../store/endpoints.ts";
import { ensureGroup, findGroup } from "../store/groups.ts";
import { readOutput } from "../store/reports.ts";
import { resultsAfter } from "../store/results.ts";
import { findTasks, searchTasks, type TaskRow, tasksOfGroup, type WholeTaskRow } from "../store/tasks.ts";
import { findUserEndpoint } from "../store/user-endpoints.ts";
import { explain } from "./explain.ts";
import type { Operations, PublicTaskDocument } from "./operations.ts";
import { cursorOf, partsOf, toPage } from "./paging.ts";
import { permit } from "./permission.ts";
import type { Ports } from "./ports.ts";
import { isOnline } from "./presence.ts";

type Transition = TaskDocument["transitions"][number];

type TaskOperations = Pick<
	Operations,
	| "getTask"
	| "explainTask"
	| "listTasks"
	| "taskOutput"
	| "getPublicTask"
	| "getPublicTasks"
	| "getPublicTaskGroup"
	| "resultConnection"
	| "createTaskGroup"
	| "authorizeGroup"
	| "resultsAfter"
>;

const outputStreams = { stdout: 1, stderr: 2 } as const;
/** Tasks read at once for a reply about many: each may have a result of the inline limit. */
const batchReadTasks = 200;
/**
 * Results in one reply about many tasks. Beyond it a task that has ended is told as still running: clients of the
 * public interface ask again for what has not ended, and get it then.
 */
const batchReplyBytes = 64 * 1024 * 1024;
/** Chunks of output in one reply. */
const outputChunks = 64;

export function taskOperations({ database, broker, blobs }: Ports): TaskOperations {
	async function find(caller: Caller, id: TaskId): Promise<WholeTaskRow> {
		const row = (await findTasks(database, [id]))[0];
		permit(caller, "task.read", row === undefined ? {} : { ownerId: row.owner_id }, id);
		if (row === undefined) throw new Fault("TASK_NOT_FOUND", `Task ${id} could not be resolved`, { args: [id] });
		return row;
	}

	async function requireGroup(caller: Caller, id: TaskGroupId): Promise<AccountId> {
		const row = await findGroup(database, id);
		permit(caller, "group.follow", row === undefined ? {} : { ownerId: row.owner_id }, id);
		if (row === undefined)
			throw new Fault("TASK_GROUP_NOT_FOUND", `Task group ${id} could not be resolved`, { args: [id] });
		return row.owner_id;
	}

	async function toPublic(row: WholeTaskRow): Promise<PublicTaskDocument> {
		const status = stateWord(row.state);
		if (row.finished_seq === null || row.finished_at === null) return { task_id: row.id, status };
		const ended = {
			task_id: row.id,
			completion_t: (row.finished_at.getTime() / 1000).toFixed(6),
			details: {
				endpoint_id: row.endpoint_id,
				...versionsOf(row.execution),
				...(row.execution === null
					? {}
					: {
							task_transitions: {
								"execution-start": row.execution.started_at_ms / 1000,
								"execution-end": row.execution.finished_at_ms / 1000,
							},
						}),
			},
		};
		if (row.failure !== null) return { ...ended, status: "failed", exception: tracebackOf(row.failure) };
		const result = toStreamResult(row);
		const value = await wholeValue(blobs, result);
		if (value !== undefined) return { ...ended, status, result: value };
		return { ...ended, status: "failed", exception: tracebackOf(beyondPublicInterface(result)) };
	}

	return {
		async getTask(caller, id) {
			return toDocument(await find(caller, id));
		},

		async explainTask(caller, id) {
			const row = await find(caller, id);
			const endpoint = await findEndpoint(database, row.endpoint_id);
			const nowMs = Date.now();
			// An endpoint from before managers is its own user endpoint, and has no row of that kind.
			const own = row.user_endpoint_id === null ? undefined : await findUserEndpoint(database, row.user_endpoint_id);
			return explain(row, {
				endpoint,
				online: endpoint !== undefined && isOnline(endpoint, nowMs),
				...(own && { userEndpoint: { ...own, online: isOnline(own, nowMs) } }),
				nowMs,
			});
		},

		async listTasks(caller, filter) {
			permit(caller, "task.list");
			const [before] = partsOf(filter.cursor, 1);
			if (before !== undefined && !/^\d{1,19}$/.test(before))
				throw new Fault("REQUEST_MALFORMED", "this cursor did not come from this list; start again without one");
			const range = filter.idPrefix === undefined ? undefined : idRange(filter.idPrefix);
			const rows = await searchTasks(database, {
				owner: caller.accountId,
				states: filter.states?.map((state) => taskStateToWire[state]),
				endpoint: filter.endpoint,
				function: filter.function,
				group: filter.group,
				since: filter.since,
				until: filter.until,
				idFrom: range?.from,
				idTo: range?.to,
				beforeSeq: before === undefined ? undefined : BigInt(before),
				limit: filter.limit + 1,
			});
			return toPage(rows, filter.limit, toSummary, (row) => cursorOf(String(row.seq)));
		},

		async taskOutput(caller, id, stream, offsetBytes) {
			const row = await find(caller, id);
			const chunks = await readOutput(database, id, outputStreams[stream], offsetBytes, outputChunks);
			const parts: Buffer[] = [];
			let at = offsetBytes;
			let truncated = false;
			for (const chunk of chunks) {
				const start = Number(chunk.offset_bytes);
				if (start > at) break; // a chunk is missing yet
				const data = chunk.data.subarray(at - start);
				parts.push(data);
				at += data.length;
				truncated ||= chunk.truncated;
			}
			const total = Number(stream === "stdout" ? row.stdout_bytes : row.stderr_bytes);
			return {
				stream,
				offset_bytes: offsetBytes,
				data: Buffer.concat(parts).toString("utf8"),
				next_offset_bytes: at,
				truncated,
				ended: row.finished_seq !== null && (truncated || at >= total),
			};
		},

		async getPublicTask(caller, id) {
			return await toPublic(await find(caller, id));
		},

		async getPublicTasks(caller, ids) {
			const documents: [TaskId, PublicTaskDocument][] = [];
			let roomBytes = batchReplyBytes;
			for (let at = 0; at < ids.length; at += batchReadTasks) {
				const some = ids.slice(at, at + batchReadTasks);
				const rows = new Map((await findTasks(database, some)).map((row) => [row.id, row]));
				for (const id of some) {
					const row = rows.get(id);
					const known = row !== undefined && may(caller, "task.read", { ownerId: row.owner_id });
					if (!known)
						documents.push([id, { task_id: id, status: "failed", reason: `Task ${id} could not be resolved` }]);
					// The first is answered however large it is, so that whoever asks again gets on.
					else if (roomBytes <= 0)
						documents.push([id, { task_id: id, status: isEnded(row) ? "running" : stateWord(row.state) }]);
					else {
						const document = await toPublic(row);
						roomBytes -= String(document.result ?? "").length + String(document.exception ?? "").length;
						documents.push([id, document]);
					}
				}
			}
			return Object.fromEntries(documents);
		},

		async getPublicTaskGroup(caller, id) {
			await requireGroup(caller, id);
			const rows = await tasksOfGroup(database, id);
			return {
				taskgroup_id: id,
				create_websockets_queue: true,
				tasks: rows.map((row) => ({ id: row.id, created_at: row.created_at.toISOString().replace("Z", "000") })),
			};
		},

		async resultConnection(caller) {
			permit(caller, "results.connect");
			const { url, queuePrefix } = await broker.provisionReader(caller.accountId);
			return { queue_prefix: queuePrefix, connection_url: url };
		},

		async createTaskGroup(caller) {
			permit(caller, "group.create");
			const id = newId<TaskGroupId>();
			await ensureGroup(database, id, caller.accountId, false);
			return id;
		},

		async authorizeGroup(caller, id) {
			await requireGroup(caller, id);
		},

		async resultsAfter(group, cursor, limit) {
			const rows = await resultsAfter(database, group, cursor, limit);
			return { cursors: rows.map((row) => row.finished_seq), results: rows.map(streamResultOfRow) };
		},
	};
}

const isEnded = (row: WholeTaskRow): boolean => row.finished_seq !== null;

function toStreamResult(row: WholeTaskRow): StreamResult {
	return streamResultOfRow({
		...row,
		sender_id: row.user_endpoint_id ?? row.endpoint_id,
		finished_seq: row.finished_seq ?? 0n,
		finished_at: row.finished_at ?? new Date(0),
		result_queue: false,
	});
}

/** Lowest and highest UUID that start with these characters (hyphens may be left out). */
function idRange(prefix: string): { from: string; to: string } {
	const digits = prefix.toLowerCase().replaceAll("-", "");
	if (!/^[0-9a-f]{4,32}$/.test(digits))
		throw new Fault("INVALID_UUID", `"${prefix}" is not the beginning of an id: 4 to 32 hexadecimal digits`, {
			args: [prefix],
		});
	return { from: digits.padEnd(32, "0"), to: digits.padEnd(32, "f") };
}

function toSummary(row: TaskRow): TaskSummary {
	return {
		id: row.id,
		group_id: row.group_id,
		endpoint_id: row.endpoint_id,
		endpoint_name: row.endpoint_name,
		function_id: row.function_id,
		function_name: row.function_name,
		state: stateWord(row.state),
		cancel_requested: row.cancel_requested_at !== null && row.finished_seq === null,
		created_at: row.created_at.toISOString(),
		finished_at: row.finished_at?.toISOString() ?? null,
		retry_of: row.retry_of,
		failure: row.failure && { code: row.failure.code, name: row.failure.name, message: row.failure.message },
	};
}

function toDocument(row: WholeTaskRow): TaskDocument {
	return {
		...toSummary(row),
		resources: row.resources,
		version_skew: row.version_skew,
		transitions: transitionsOf(row),
		execution: row.execution,
		failure: row.failure,
		...(row.result === null ? {} : { result: row.result.toString("utf8") }),
		...(row.result_blob === null ? {} : { result_reference: toReference(row.result_blob, row.result_blob_bytes) }),
		stdout_bytes: Number(row.stdout_bytes),
		stderr_bytes: Number(row.stderr_bytes),
	};
}

function transitionsOf(row: WholeTaskRow): Transition[] {
	const first: Transition = { state: "received", at: row.created_at.toISOString(), actor: "web-service" };
	const between = row.transitions.map(
		([state, atMs, actor, reason]): Transition => ({
			state: stateWord(state),
			at: new Date(atMs).toISOString(),
			actor,
			...(reason === "" ? {} : { reason }),
		}),
	);
	const state = stateWord(row.state);
	if (!isFinal(state) || row.finished_at === null) return [first, ...between];
	return [first, ...between, { state, at: row.finished_at.toISOString(), actor: row.finished_by ?? "endpoint" }];
}
