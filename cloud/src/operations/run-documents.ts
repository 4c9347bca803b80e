/** Runs in the words of the public interface. */
import type { RunDocument, RunLogEntry, RunVisit, runBatch } from "@errand/proto/rest";
import type * as z from "zod";
import type { Caller } from "../policy/caller.ts";
import { may, type Thing } from "../policy/policy.ts";
import type { LogRow, VisitRow } from "../store/run-log.ts";
import type { RunRow } from "../store/runs.ts";
import { identityUrn } from "./flow-roles.ts";

export interface FoundRun {
	readonly row: RunRow;
	readonly thing: Thing;
}

type Batch = z.output<typeof runBatch>;

export function notesAfter(row: RunRow, batch: Batch) {
	const list = (key: "tags" | "run_managers" | "run_monitors", before: readonly string[]): string[] => {
		const from = batch.set?.[key] ?? before;
		const gone = new Set(batch.remove?.[key] ?? []);
		return [...new Set([...from, ...(batch.add?.[key] ?? [])])].filter((one) => !gone.has(one));
	};
	return {
		label: row.label,
		tags: list("tags", row.tags),
		managers: list("run_managers", row.managers),
		monitors: list("run_monitors", row.monitors),
	};
}

export function toDocument(caller: Caller, { row, thing }: FoundRun): RunDocument {
	const owner = identityUrn(row.owner_id);
	return {
		run_id: row.id,
		action_id: row.id,
		flow_id: row.flow_id,
		flow_title: row.flow_title,
		flow_last_updated: row.flow_updated_at.toISOString(),
		start_time: row.started_at.toISOString(),
		completion_time: row.completed_at?.toISOString() ?? null,
		status: row.status,
		display_status: row.status,
		details: row.details as RunDocument["details"],
		run_owner: owner,
		created_by: owner,
		run_managers: row.managers,
		run_monitors: row.monitors,
		manage_by: row.managers,
		monitor_by: row.monitors,
		user_role: roleOf(caller, thing),
		label: row.label,
		tags: row.tags,
		rerun_of: row.rerun_of,
	};
}

function roleOf(caller: Caller, thing: Thing): RunDocument["user_role"] {
	if (thing.ownerId === caller.accountId) return "run_owner";
	return may(caller, "run.change", thing) ? "run_manager" : "run_monitor";
}

export const toEntry = ({ at, code, description, details }: LogRow): RunLogEntry => ({
	time: at.toISOString(),
	code,
	description,
	details: details as RunLogEntry["details"],
});

export function toVisit(row: VisitRow): RunVisit {
	return {
		branch: row.branch,
		visit: row.visit,
		state: row.state,
		type: row.type,
		attempts: row.attempts,
		entered_at: row.entered_at.toISOString(),
		left_at: row.left_at?.toISOString() ?? null,
		outcome: row.outcome,
		input: row.input as RunVisit["input"],
		output: row.output as RunVisit["output"],
		error: row.error as RunVisit["error"],
	};
}
