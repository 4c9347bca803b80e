/** How runs of flows look in the terminal. */
import type { RunDocument, RunLogEntry, RunVisit } from "@errand/proto/rest";
import { formatAge, formatDuration } from "./duration.ts";
import type { ExitName } from "./exit-code.ts";
import type { Screen } from "./screen.ts";

const runColours = {
	ACTIVE: "cyan",
	INACTIVE: "yellow",
	SUCCEEDED: "green",
	FAILED: "red",
} as const satisfies Record<RunDocument["status"], string>;

const outcomeColours = { succeeded: "green", failed: "red", cancelled: "yellow" } as const;

/** 0 when it succeeded or goes on. */
export function exitOfRun(run: RunDocument): ExitName | undefined {
	if (run.status !== "FAILED") return undefined;
	return run.details.code === "FlowCanceled" ? "cancelled" : "failed";
}

export const statusOf = (run: RunDocument, screen: Screen): string => screen.style(runColours[run.status], run.status);

function tookOf(run: RunDocument, now: string): string {
	return formatDuration(Date.parse(run.completion_time ?? now) - Date.parse(run.start_time));
}

export function showRuns(runs: readonly RunDocument[], now: string, screen: Screen): void {
	screen.table(
		runs,
		[
			{ title: "run", cell: (run) => run.run_id.slice(0, 8) },
			{ title: "flow", cell: (run) => run.flow_title.slice(0, 40) },
			{ title: "label", cell: (run) => run.label },
			{ title: "status", cell: (run) => statusOf(run, screen) },
			{ title: "started", cell: (run) => formatAge(Date.parse(run.start_time), Date.parse(now)) },
			{ title: "took", align: "right", cell: (run) => tookOf(run, now) },
			{ title: "what", cell: (run) => (run.status === "SUCCEEDED" ? "" : run.details.description.slice(0, 70)) },
		],
		"No runs. Next: errand flow start FLOW",
	);
}

export function showRun(run: RunDocument, screen: Screen): void {
	const details = run.details.details as { output?: unknown } | null;
	screen.pairs([
		["run", run.run_id],
		["flow", `${run.flow_title} (${run.flow_id})`],
		["label", run.label],
		["tags", run.tags.join(", ")],
		["status", statusOf(run, screen)],
		["what", run.details.description],
		["started", run.start_time],
		["ended", run.completion_time ?? undefined],
		["repeats", run.rerun_of ?? undefined],
		["output", details?.output === undefined ? undefined : JSON.stringify(details.output, null, 2)],
	]);
}

export function showVisits(visits: readonly RunVisit[], now: string, screen: Screen): void {
	screen.table(
		visits,
		[
			{ title: "state", cell: (one) => (one.branch === "" ? one.state : `${one.branch}/${one.state}`) },
			{ title: "type", cell: (one) => one.type },
			{
				title: "outcome",
				cell: (one) =>
					one.outcome === null
						? screen.style("cyan", "active")
						: screen.style(outcomeColours[one.outcome], one.outcome),
			},
			{
				title: "took",
				align: "right",
				cell: (one) => formatDuration(Date.parse(one.left_at ?? now) - Date.parse(one.entered_at)),
			},
			{ title: "tries", align: "right", cell: (one) => (one.attempts > 1 ? String(one.attempts) : "") },
			{ title: "error", cell: (one) => (one.error ? `${one.error.error}: ${one.error.cause}`.slice(0, 80) : "") },
		],
		"It has entered no state yet.",
	);
}

/** Codes end in what happened: `ActionCompleted`. */
const entryColours = {
	Completed: "green",
	Succeeded: "green",
	Failed: "red",
	Retrying: "yellow",
	Canceled: "yellow",
	Inactive: "yellow",
} as const;

export function showEntry(entry: RunLogEntry, screen: Screen): void {
	const branch = (entry.details as { branch?: string } | null)?.branch;
	const ending = (Object.keys(entryColours) as (keyof typeof entryColours)[]).find((one) => entry.code.endsWith(one));
	const text = branch === undefined ? entry.description : `${branch}: ${entry.description}`;
	screen.line(
		`${screen.style("dim", entry.time.slice(11, 23))}  ${screen.style(ending && entryColours[ending], text)}`,
	);
}
