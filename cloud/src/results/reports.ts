/** What happens to tasks before their end: states are moved along the published table, output is kept up to its cap. */
import {
	type EndpointId,
	idFromBytes,
	isFinal,
	mayFollow,
	outputLimitBytes,
	type TaskId,
	type TaskState,
	taskStateFromWire,
	taskStateToWire,
} from "@errand/proto";
import { OutputStream, type Report } from "@errand/proto/wire";
import type { CloudEventBus, CloudEvents } from "../observe/events.ts";
import type { Log } from "../store/embedded-postgres.ts";
import { naturalBatches } from "../store/natural-batch.ts";
import type { Database } from "../store/pool.ts";
import {
	insertOutput,
	lockTasks,
	type Moves,
	moveTasks,
	type OutputRow,
	type ReportedTask,
	whereTasksAre,
} from "../store/reports.ts";
import { stateWord } from "./documents.ts";

type Frame = CloudEvents["task:reported"][0]["frame"];

interface Told {
	readonly frame: Frame;
}

interface Piece {
	readonly reports: readonly Report[];
	readonly endpoint: EndpointId;
}

const streamWords: { readonly [Stream in OutputStream]?: "stdout" | "stderr" } = {
	[OutputStream.STDOUT]: "stdout",
	[OutputStream.STDERR]: "stderr",
};
const decoder = new TextDecoder();
/** Of those that a log line is about. */
const tasksNamed = 5;

export function openReports(ports: { database: Database; events: CloudEventBus; log: Log }): {
	/** Resolves when they are durable and told; of tasks that are not this endpoint's nothing is taken. */
	take(reports: readonly Report[], endpoint: EndpointId): Promise<void>;
} {
	const { database, events, log } = ports;
	const batches = naturalBatches(
		{ limit: 500, weigh: (piece: Piece) => piece.reports.length, concurrency: 1 },
		async (pieces) => {
			const reports = pieces.flatMap(({ reports, endpoint }) =>
				reports.map((report) => ({ report, endpoint, task: idFromBytes<TaskId>(report.taskId) })),
			);
			const foreign = new Map<EndpointId, Set<TaskId>>();
			const told = [...(await takeStates(reports, foreign)), ...(await takeOutputAndProgress(reports, foreign))];
			for (const [endpoint, tasks] of foreign)
				log.warn(
					{ endpoint, tasks: [...tasks].slice(0, tasksNamed), count: tasks.size },
					"left out reports of tasks that are not this endpoint's",
				);
			for (const { frame } of told) events.emit("task:reported", { group: frame.group as never, frame });
		},
	);

	type Item = { report: Report; endpoint: EndpointId; task: TaskId };

	/** Tasks that an endpoint has told of and that are not its own, or that there are not. */
	type Foreign = Map<EndpointId, Set<TaskId>>;

	function note(foreign: Foreign, { endpoint, task }: Item): void {
		const tasks = foreign.get(endpoint) ?? new Set();
		foreign.set(endpoint, tasks.add(task));
	}

	async function takeStates(items: readonly Item[], foreign: Foreign): Promise<Told[]> {
		const changes = items.filter((item) => item.report.event.case === "state");
		if (changes.length === 0) return [];
		return await database.transaction(async (session) => {
			const rows = new Map(
				(await lockTasks(session, [...new Set(changes.map((item) => item.task))])).map((row) => [row.id, row]),
			);
			const told: Told[] = [];
			const moves: Moves[] = [];
			for (const [task, some] of Map.groupBy(changes, (item) => item.task)) {
				const row = rows.get(task);
				for (const item of some) if (item.endpoint !== row?.sender_id) note(foreign, item);
				if (row === undefined || row.finished) continue;
				const steps = legalSteps(row, some);
				if (steps.length === 0) continue;
				moves.push({
					id: task,
					state: taskStateToWire[(steps.at(-1) as Step).state],
					transitions: steps.map((step) => [taskStateToWire[step.state], step.atMs, step.actor, step.reason]),
				});
				for (const step of steps)
					told.push({
						frame: {
							type: "state",
							group: row.group_id,
							task_id: task,
							state: step.state,
							at: new Date(step.atMs).toISOString(),
							reason: step.reason,
						},
					});
			}
			if (moves.length > 0) await moveTasks(session, moves);
			return told;
		});
	}

	async function takeOutputAndProgress(items: readonly Item[], foreign: Foreign): Promise<Told[]> {
		const others = items.filter((item) => item.report.event.case === "output" || item.report.event.case === "progress");
		if (others.length === 0) return [];
		const rows = new Map(
			(await whereTasksAre(database, [...new Set(others.map((item) => item.task))])).map((row) => [row.id, row]),
		);
		const chunks: OutputRow[] = [];
		const told: Told[] = [];
		for (const item of others) {
			const { report, endpoint, task } = item;
			const row = rows.get(task);
			if (row?.sender_id !== endpoint) {
				note(foreign, item);
				continue;
			}
			if (report.event.case === "output") {
				const chunk = toChunk(task, report.event.value);
				if (chunk !== undefined) chunks.push(chunk);
			} else if (report.event.case === "progress" && !row.finished) {
				const { fraction, message } = report.event.value;
				told.push({
					frame: {
						type: "progress",
						group: row.group_id,
						task_id: task,
						fraction: Number.isFinite(fraction) ? Math.min(Math.max(fraction, 0), 1) : 0,
						message,
					},
				});
			}
		}
		if (chunks.length === 0) return told;
		const kept = await insertOutput(database, chunks);
		for (const [index, chunk] of chunks.entries()) {
			if (!kept.has(index)) continue; // told before
			told.push({
				frame: {
					type: "output",
					group: (rows.get(chunk.task) as ReportedTask).group_id,
					task_id: chunk.task,
					stream: streamWords[chunk.stream as OutputStream] as "stdout" | "stderr",
					offset_bytes: chunk.offsetBytes,
					data: decoder.decode(chunk.data),
					size_bytes: chunk.data.length,
					truncated: chunk.truncated,
				},
			});
		}
		return told;
	}

	return {
		async take(reports, endpoint) {
			const named = reports.filter(({ taskId }) => taskId.length === 16);
			if (named.length > 0) await batches.add({ reports: named, endpoint });
			const wrong = reports.length - named.length;
			if (wrong > 0) throw new RangeError(`${wrong} of ${reports.length} reports name no task: an id has 16 bytes`);
		},
	};
}

interface Step {
	readonly state: TaskState;
	readonly atMs: number;
	readonly actor: string;
	readonly reason: string;
}

/**
 * The reported changes that the table of states allows, one after the other; the rest came late or twice and is left
 * out. A final state is never reported: the result says it.
 */
function legalSteps(
	row: Pick<ReportedTask, "state" | "sender_id">,
	items: readonly { report: Report; endpoint: EndpointId }[],
): Step[] {
	const steps: Step[] = [];
	let at = stateWord(row.state);
	for (const { report, endpoint } of items) {
		if (endpoint !== row.sender_id || report.event.case !== "state") continue;
		const change = report.event.value;
		const to = taskStateFromWire(change.state);
		if (to === undefined || isFinal(to) || !mayFollow(at, to)) continue;
		const atMs = Math.round(report.atUs / 1000);
		steps.push({
			state: to,
			atMs: Number.isFinite(atMs) && Math.abs(atMs) < 8.64e15 ? atMs : Date.now(),
			actor: change.host === "" ? "endpoint" : change.host,
			reason: change.reason,
		});
		at = to;
	}
	return steps;
}

function toChunk(
	task: TaskId,
	chunk: { stream: OutputStream; offsetBytes: number; data: Uint8Array; truncated: boolean },
): OutputRow | undefined {
	const { stream, offsetBytes } = chunk;
	if (streamWords[stream] === undefined || !Number.isSafeInteger(offsetBytes) || offsetBytes < 0) return undefined;
	const room = outputLimitBytes - offsetBytes;
	if (room < 0 || (room === 0 && !chunk.truncated)) return undefined;
	const data = chunk.data.subarray(0, room);
	if (data.length === 0 && !chunk.truncated) return undefined;
	return { task, stream, offsetBytes, data, truncated: chunk.truncated || data.length < chunk.data.length };
}
