/** HTCondor: `condor_submit`, `condor_q`, `condor_history`, `condor_rm`. A slot is what a block gets. */
import { existsSync, rmSync, statSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import {
	type Ask,
	type Dialect,
	type JobRecord,
	openCommandLineScheduler,
	type Told,
	vanished,
} from "../command-line-scheduler.ts";
import { type BlockSpec, type JobId, type Scheduler, type SchedulerOptions, SchedulerSilent } from "../scheduler.ts";
import { wordsOf } from "../scheduler-command.ts";
import { condorDescription, condorScript } from "./description.ts";
import { condorAttributes, parseCondorJobs } from "./states.ts";

const format = ["-af:t", ...condorAttributes] as const;

interface Queue {
	readonly records: readonly JobRecord[];
	/** Every line was understood: what is not in it is not in the queue. */
	readonly whole: boolean;
}

/** Throws {@link SchedulerSilent} when the schedd did not answer: it says so by its exit status, or only in words. */
async function queue(ask: Ask, restriction: readonly string[]): Promise<Queue> {
	const answer = await ask(["condor_q", ...restriction, ...format]);
	const records = parseCondorJobs(answer.stdout, true);
	const lines = answer.stdout.split("\n").filter((line) => line.trim() !== "");
	const complaint = answer.code !== 0 || /failed|error|can't|cannot|refused/i.test(answer.stderr);
	if (records.length === 0 && (complaint || lines.length > 0))
		throw new SchedulerSilent(`condor_q: ${wordsOf(answer)}`);
	return { records, whole: !complaint && lines.length === records.length };
}

/** Ended jobs leave the queue; the history of what has left it is another file, and may be slow to read. */
async function jobs(ask: Ask, ids: readonly JobId[]): Promise<Told> {
	const { records, whole } = await queue(ask, ids);
	const found = new Map(records.flatMap((record) => (ids.includes(record.id) ? [[record.id, record]] : [])));
	const left = ids.filter((id) => !found.has(id));
	if (left.length === 0) return { jobs: found, gone: new Set() };
	const answer = await ask(["condor_history", ...left, "-limit", String(left.length), ...format]).catch(
		(error: unknown) => {
			if (error instanceof SchedulerSilent) return undefined;
			throw error;
		},
	);
	for (const record of parseCondorJobs(answer?.stdout ?? "", false))
		if (left.includes(record.id)) found.set(record.id, record);
	const gone = whole && records.every(({ id }) => ids.includes(id)) ? left.filter((id) => !found.has(id)) : [];
	if (answer?.code === 0) return { jobs: found, gone: new Set(gone) };
	for (const id of gone)
		found.set(id, {
			id,
			mark: undefined,
			status: vanished("it left the queue of HTCondor, and its history could not be read"),
		});
	return { jobs: found, gone: new Set() };
}

/** What a manager starts, beside its own file. */
const besideManager = ["worker.mjs", "worker.py"];

/** Files of the command, and those beside them that it needs. */
function filesOf({ command }: BlockSpec): string[] {
	// Commas part the names in HTCondor's list.
	const isName = (word: string): boolean => isAbsolute(word) && !word.includes(",");
	const named = command.filter((word) => isName(word) && statSync(word, { throwIfNoEntry: false })?.isFile());
	const beside = named.flatMap((file) => besideManager.map((name) => join(dirname(file), name))).filter(existsSync);
	return [...new Set([...named, ...beside])];
}

export function condorDialect(directory: string): Dialect {
	const scripts = join(directory, "blocks");
	const scriptPath = (blockId: string): string => join(scripts, `${blockId}.condor.sh`);
	return {
		name: "htcondor",
		capabilities: { multiNode: false, forgetsEnded: false, expectsStarts: false, dependencies: false },
		idForm: /^\d+\.\d+$/,
		lacks: {
			queue: "HTCondor has no queues; say what the pool wants in constraint or scheduler_options",
			qos: "say what the pool wants in scheduler_options",
			reservation: "say what the pool wants in constraint",
			selectOptions: "they are PBS's; say it in constraint",
			parallelEnvironment: "that is Grid Engine's",
			dependsOnJob: "jobs of HTCondor wait for others only within a DAG",
		},
		script: (spec, mark) =>
			`${condorDescription(spec, mark, scriptPath(spec.blockId), filesOf(spec))}\n# The executable:\n${condorScript(spec)}`,
		async submit(ask, spec, mark) {
			await mkdir(scripts, { recursive: true, mode: 0o700 });
			await writeFile(scriptPath(spec.blockId), condorScript(spec), { mode: 0o700 });
			const description = condorDescription(spec, mark, scriptPath(spec.blockId), filesOf(spec));
			return await ask(["condor_submit", "-terse", "-"], description, "the job's");
		},
		parseSubmitted: (stdout) => /^(\d+\.\d+) - \d+\.\d+\s*$/m.exec(stdout)?.[1],
		unreachable:
			/failed to (?:connect|fetch|contact|locate)|can't find address|unable to (?:connect|locate)|queue manager|timed? ?out|AUTHENTICATE|SECMAN|CEDAR|connection refused/i,
		jobs,
		ours: async (ask, endpoint) => (await queue(ask, ["-constraint", `ErrandEndpoint == "${endpoint}"`])).records,
		end: (ids) => ["condor_rm", ...ids],
		// Leaves it to the execute node to end what it has there when the claim is gone.
		kill: (ids) => ["condor_rm", "-forcex", ...ids],
		forget: (blockId) => rmSync(scriptPath(blockId), { force: true }),
	};
}

/** Its programs must be on the PATH of the daemon. The scripts of jobs are kept in the endpoint's `blocks` folder. */
export function openCondorScheduler(options: SchedulerOptions): Scheduler {
	return openCommandLineScheduler(condorDialect(options.directory), options);
}
