/** What a run measured, and how it is shown. */
import type { DeploymentName } from "../harness/deployment.ts";
import type { EngineFigures } from "./engine.ts";
import type { PeerFigures } from "./peers.ts";

export interface Latency {
	readonly p50: number;
	readonly p95: number;
	readonly p99: number;
}

export interface Figures {
	readonly deployment: DeploymentName;
	/** From starting the endpoint's daemon to the first result, in milliseconds. */
	readonly firstResultMs: number;
	/** No-op tasks a second, submit to last settled future: the median round. */
	readonly javascriptTasksPerS: number;
	readonly javascriptRoundsTasksPerS: readonly number[];
	readonly pythonTasksPerS: number;
	readonly pythonRoundsTasksPerS: readonly number[];
	/** Commands (`true`) a second. */
	readonly commandTasksPerS: number;
	/** One warm task at a time, in milliseconds. */
	readonly latencyMs: Latency;
	/** Microseconds of CPU for one JavaScript task of a full round, by process: the median round. */
	readonly cpuUsPerTask: Readonly<Record<string, number>>;
	/** The same for one task at a time. */
	readonly cpuUsPerSingleTask: Readonly<Record<string, number>>;
	/** Bytes (proportional set size) with `queued` tasks waiting. */
	readonly memoryBytesQueued: Readonly<Record<string, number>>;
	readonly queued: number;
	/** From the first submit until the last of them was accepted; and from `cancelAll` until every future had settled. */
	readonly queueMs: number;
	readonly cancelAllMs: number;
}

/** Where and when a run was. */
export interface Machine {
	readonly at: string;
	readonly node: string;
	readonly cores: number;
	readonly processor: string;
	readonly memoryBytes: number;
	/** Of one minute, before the run: what else this machine was doing. */
	readonly loadBefore: number;
}

export interface Run extends Machine {
	readonly tasks: number;
	readonly figures: readonly Figures[];
	/** The interchange without anything around it. */
	readonly engine: EngineFigures;
	/** Percent of one core that a daemon with twenty blocks and no task takes. */
	readonly idleDaemonPercent: number;
	/** From the start of a batch job to the start of its first task; median. */
	readonly jobStartMs: number;
	/** A sentence when it could not be had. */
	readonly parsl?: PeerFigures | string;
}

export const median = (values: readonly number[]): number => percentile(values, 50);

export function percentile(values: readonly number[], p: number): number {
	const sorted = values.toSorted((a, b) => a - b);
	return sorted[Math.min(sorted.length - 1, Math.floor((p / 100) * sorted.length))] ?? Number.NaN;
}

export const whole = (value: number): string => Math.round(value).toLocaleString("en");
const tenths = (value: number): string => value.toFixed(1);
const none = "–";

type Measured = Partial<Figures> & Partial<Pick<Run, "engine" | "idleDaemonPercent" | "jobStartMs">>;
type Column = { readonly title: string; readonly of: Measured };

/** The table as Markdown, which reads as well in a terminal. */
export function tableOf(run: Run): string {
	const parsl: Column[] =
		typeof run.parsl === "object" ? [{ title: "Parsl (no cloud)", of: run.parsl as Partial<Figures> }] : [];
	const { engine, idleDaemonPercent, jobStartMs } = run;
	const columns: Column[] = [
		...run.figures.map((of) => ({ title: of.deployment, of })),
		...parsl,
		{ title: "a part alone", of: { engine, idleDaemonPercent, jobStartMs } },
	];
	const rows: [string, ...string[]][] = [];
	const row = (title: string, value: (figures: Measured) => number | undefined, format = whole): void => {
		rows.push([
			title,
			...columns.map(({ of }) => {
				const found = value(of);
				return found === undefined ? none : format(found);
			}),
		]);
	};
	row(`JavaScript no-op tasks/s (${whole(run.tasks)}, 2 workers)`, (f) => f.javascriptTasksPerS);
	row(`Python no-op tasks/s (${whole(run.tasks)}, 2 workers)`, (f) => f.pythonTasksPerS);
	row("commands/s (500 × `true`, 2 workers)", (f) => f.commandTasksPerS);
	for (const p of ["p50", "p95", "p99"] as const)
		row(`one warm task at a time, ${p} of 500 (ms)`, (f) => f.latencyMs?.[p], tenths);
	row("daemon start to first result (ms)", (f) => f.firstResultMs);
	for (const [title, of] of [
		["CPU per task", (f: Partial<Figures>) => f.cpuUsPerTask],
		["CPU per task, one at a time", (f: Partial<Figures>) => f.cpuUsPerSingleTask],
	] as const) {
		for (const role of rolesIn(run, of)) row(`${title}, ${role} (µs)`, (f) => of(f)?.[role]);
		row(`${title}, all (µs)`, (f) => {
			const found = of(f);
			return found && Object.values(found).reduce((sum, value) => sum + value, 0);
		});
	}
	const queued = whole(run.figures[0]?.queued ?? 0);
	row(`${queued} tasks accepted in (ms)`, (f) => f.queueMs);
	for (const role of rolesIn(run, (f) => f.memoryBytesQueued))
		row(`memory with ${queued} queued, ${role} (MB)`, (f) => {
			const bytes = f.memoryBytesQueued?.[role];
			return bytes === undefined ? undefined : bytes / 1e6;
		});
	row(`${queued} queued tasks cancelled in (ms)`, (f) => f.cancelAllMs);
	const simulated = `${whole(engine.tasks)} tasks, ${whole(engine.managers)} simulated managers`;
	row("start of a Slurm job to its first task (ms)", (f) => f.jobStartMs);
	row(`placement, ${simulated}: a task (µs)`, (f) => f.engine?.placementUs, tenths);
	row("the same with ten demands: a task (µs)", (f) => f.engine?.mixedPlacementUs, tenths);
	row("a chain of 500 tasks there: a link (µs)", (f) => f.engine?.chainUs, tenths);
	row("decision how many blocks are wanted (ms)", (f) => f.engine?.scaleOutMs, tenths);
	row("decision why each demand waits (ms)", (f) => f.engine?.explainMs, tenths);
	row("idle with 20 blocks: CPU (% of a core)", (f) => f.idleDaemonPercent, tenths);

	return markdown([["", ...columns.map((column) => column.title)], ...rows]);
}

/** A table of Markdown; its first row has the titles, its first column the names. */
export function markdown(cells: readonly (readonly string[])[]): string {
	const widths = (cells[0] ?? []).map((_, at) => Math.max(...cells.map((line) => (line[at] ?? "").length)));
	const lines = cells.map((line) =>
		line.map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))),
	);
	const rule = widths.map((width, at) => (at === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
	return [lines[0] ?? [], rule, ...lines.slice(1)].map((line) => `| ${line.join(" | ")} |`).join("\n");
}

function rolesIn(run: Run, of: (figures: Figures) => Readonly<Record<string, number>> | undefined): string[] {
	return [...new Set(run.figures.flatMap((figures) => Object.keys(of(figures) ?? {})))];
}
