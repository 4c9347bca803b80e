/** What is done again and again in the background: asking again for what was not answered, and forgetting what is old. */
import { retentionMs as defaultRetentionMs, runRetentionMs } from "@errand/proto";
import { deleteOldKeys, deleteOldTasks, deleteOldTraces, deleteOrphanBlobs } from "../store/retention.ts";
import { deleteRuns, runsEndedBefore } from "../store/runs.ts";
import { overdueCancellations } from "../store/tasks.ts";
import { deleteOldTransferAgents } from "../store/transfer-agents.ts";
import { deleteOldTransfers } from "../store/transfers.ts";
import { askToCancel } from "./cancel.ts";
import type { Ports } from "./ports.ts";

/** An endpoint that has not answered a cancellation for this long is asked again. */
const cancelAgainMs = 15_000;
const forgetEveryMs = 60_000;
const userEndpointsEveryMs = 15_000;
const rowsPerStatement = 1_000;
/** Each with its log and its branches. */
const runsPerStatement = 50;
/** A stored value that no task has named yet is kept at least this long. */
const orphanAgeMs = 24 * 3_600_000;

export interface Sweeper {
	/** One round of everything, for tests and for the operator. */
	sweep(now: Date): Promise<void>;
	close(): Promise<void>;
}

export function openSweeper(
	ports: Pick<Ports, "database" | "publisher" | "blobs" | "userEndpoints" | "log">,
	retentionMs = defaultRetentionMs,
): Sweeper {
	const { database, blobs, log } = ports;

	async function askAgain(): Promise<void> {
		const overdue = await overdueCancellations(database, cancelAgainMs, 10 * rowsPerStatement);
		for (const [daemon, rows] of Map.groupBy(overdue, (row) => row.daemon_id))
			await askToCancel(
				ports,
				daemon,
				rows.map((row) => row.id),
			);
	}

	async function forget(now: Date): Promise<void> {
		const before = new Date(now.getTime() - retentionMs);
		let tasks = 0;
		for (let count = rowsPerStatement; count === rowsPerStatement; tasks += count)
			count = await deleteOldTasks(database, before, rowsPerStatement);
		await deleteOldTraces(database, before);
		for (let count = runsPerStatement; count === runsPerStatement; ) {
			const old = await runsEndedBefore(database, new Date(now.getTime() - runRetentionMs), runsPerStatement);
			await deleteRuns(database, old);
			count = old.length;
		}
		await deleteOldTransfers(database, before, rowsPerStatement);
		await deleteOldTransferAgents(database, before);
		await deleteOldKeys(database, before);
		await ports.userEndpoints.forget(before);
		const storedBefore = new Date(now.getTime() - Math.min(orphanAgeMs, retentionMs));
		// The bytes go while the rows are locked: whoever stores the same value again waits, and sees that they are gone.
		const orphans = await database.transaction(async (session) => {
			const names = await deleteOrphanBlobs(session, storedBefore, rowsPerStatement);
			for (const sha256 of names) await blobs.delete(sha256.toString("hex"));
			return names;
		});
		if (tasks > 0 || orphans.length > 0) log.info({ tasks, blobs: orphans.length }, "forgot what is past its time");
	}

	let round = Promise.resolve();
	const every = (periodMs: number, what: string, work: () => Promise<void>): NodeJS.Timeout => {
		const timer = setInterval(() => {
			round = round
				.then(work)
				.catch((cause: unknown) =>
					log.warn({ what, reason: String(cause) }, "a background round failed; trying again"),
				);
		}, periodMs);
		return timer.unref();
	};
	const timers = [
		every(cancelAgainMs, "cancellations", askAgain),
		every(userEndpointsEveryMs, "user endpoints", () => ports.userEndpoints.sweep()),
		every(forgetEveryMs, "retention", () => forget(new Date())),
	];
	return {
		async sweep(now) {
			await askAgain();
			await ports.userEndpoints.sweep();
			await forget(now);
		},
		async close() {
			for (const timer of timers) clearInterval(timer);
			await round;
		},
	};
}
