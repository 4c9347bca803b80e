/** The programs of HTCondor, as far as the adapter uses them, with their words and exit codes. */
import { copyFileSync, mkdtempSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { FakeAnswer, FakeBatchSystem, FakeCall, FakeJob, FakeProgram } from "../fake-batch-system.test-harness.ts";

const statuses: Readonly<Record<FakeJob["state"], string>> = {
	pending: "1",
	held: "5",
	running: "2",
	suspended: "7",
	ending: "3",
	ended: "4",
};
/** Not worth a copy: Node itself. */
const largeBytes = 10_000_000;
/** Why HTCondor holds a job that reached a limit. */
const holds = {
	walltime: ["46", "The job exceeded allowed job duration of 0+00:10:00"],
	memory: ["34", "Error from slot1@node1: Job has gone over cgroup memory limit of 128 megabytes"],
} as const;

export const condorDown: FakeAnswer = {
	code: 1,
	stderr:
		"\n-- Failed to fetch ads from: <127.0.0.1:9618> : login1.example.org\nCEDAR:6001:Failed to connect to <127.0.0.1:9618>\n",
};

const known =
	/^(universe|executable|output|error|log|stream_output|batch_name|accounting_group|requirements|request_\w+|allowed_job_duration|kill_sig|notification|periodic_remove|getenv|rank|should_transfer_files|transfer_input_files|\+\w+)$/;

function submit({ input, words }: FakeCall, system: FakeBatchSystem): FakeAnswer {
	if (words.join(" ") !== "-terse -") return { code: 1, stderr: "ERROR: unknown argument\n" };
	const attributes = new Map<string, string>();
	for (const line of input.split("\n").filter((text) => text.trim() !== "" && !text.startsWith("#"))) {
		if (/^queue\b/i.test(line)) break;
		const [, name = "", text = ""] = /^\s*([\w+]+)\s*=\s*(.*)$/.exec(line) ?? [];
		if (!known.test(name))
			return { code: 1, stderr: `ERROR: on Line 1 of submit file: ${line}\nERROR: Failed to parse command file.\n` };
		attributes.set(name, text.replaceAll("$(DOLLAR)", "$").replace(/^"(.*)"$/, "$1"));
	}
	if (attributes.get("accounting_group") === "group_broke")
		return { code: 1, stderr: "ERROR: Invalid accounting group group_broke (rule: submit requirement)\n" };
	const scratch = mkdtempSync(join(system.bin, "scratch-"));
	for (const file of (attributes.get("transfer_input_files") ?? "").split(",").filter((path) => path !== ""))
		(statSync(file.trim()).size < largeBytes ? copyFileSync : symlinkSync)(file.trim(), join(scratch, basename(file)));
	const job = system.submit({
		name: attributes.get("batch_name") ?? "",
		attributes,
		// It is copied when the job is submitted or starts; the description's path must be a file by then.
		script: readFileSync(attributes.get("executable") as string, "utf8"),
		logPath: attributes.get("output"),
		environment: (job, directory) => {
			const ad = join(directory, `${job.number}.job.ad`);
			writeFileSync(
				ad,
				`ClusterId = ${job.number}\nProcId = 0\nNumShadowStarts = ${job.starts}\nCmd = "NumShadowStarts = 7"\n`,
			);
			return { _CONDOR_JOB_AD: ad, _CONDOR_SCRATCH_DIR: scratch };
		},
	});
	return { stdout: `${job.number}.0 - ${job.number}.0\n` };
}

/** What it holds after a limit stays in the queue for a while, until periodic_remove takes it out. */
function inQueue(job: FakeJob): boolean {
	return (
		!job.archived && !job.forgotten && (job.state !== "ended" || holdOf(job) !== undefined || job.word !== undefined)
	);
}

const holdOf = (job: FakeJob): readonly [string, string] | undefined =>
	job.state === "ended" && (job.end.by === "walltime" || job.end.by === "memory") ? holds[job.end.by] : undefined;

function row(job: FakeJob, names: readonly string[], history: boolean): string {
	const hold = holdOf(job);
	const { by, code, signal } = job.end;
	const status =
		hold !== undefined && !history ? "5" : job.state === "ended" && by !== undefined ? "3" : statuses[job.state];
	const ended = job.state === "ended";
	const values: Readonly<Record<string, string | number | undefined>> = {
		ClusterId: job.number,
		ProcId: 0,
		JobStatus: job.word ?? status,
		NumJobStarts: job.starts,
		HoldReasonCode: history ? undefined : (hold?.[0] ?? (job.state === "held" ? "1" : undefined)),
		LastHoldReasonCode: history ? hold?.[0] : undefined,
		ExitCode: ended && by === undefined ? code : undefined,
		ExitSignal: ended && by === undefined ? signal : undefined,
		ErrandMark: job.attributes.get("+ErrandMark"),
		RemoveReason: by === "cancel" ? "via condor_rm (by user somebody)" : undefined,
		HoldReason: history ? undefined : (hold?.[1] ?? (job.state === "held" ? job.reason : undefined)),
	};
	return `${names.map((name) => values[name] ?? "undefined").join("\t")}\n`;
}

function list(history: boolean): FakeProgram {
	return ({ words }, system) => {
		const at = words.indexOf("-af:t");
		const ids = words.slice(0, at).filter((word) => /^\d+\.\d+$/.test(word));
		const endpoint = /^ErrandEndpoint == "(\w+)"$/.exec(words[words.indexOf("-constraint") + 1] ?? "")?.[1];
		const shown = system.jobs
			.filter((job) => (history ? job.state === "ended" && !job.forgotten && !inQueue(job) : inQueue(job)))
			.filter((job) =>
				ids.length > 0 ? ids.includes(`${job.number}.0`) : job.attributes.get("+ErrandEndpoint") === endpoint,
			);
		return { stdout: shown.map((job) => row(job, words.slice(at + 1), history)).join("") };
	};
}

function remove({ words }: FakeCall, system: FakeBatchSystem): FakeAnswer {
	const force = words[0] === "-forcex";
	let stderr = "";
	for (const word of force ? words.slice(1) : words) {
		const job = system.job(Number.parseInt(word, 10));
		if (job === undefined || job.state === "ended") stderr += `Job ${word} not found\n`;
		else {
			system.cancel(job);
			if (force) system.kill(job);
		}
	}
	return { code: stderr === "" ? 0 : 1, stderr };
}

export const fakeCondorPrograms: Readonly<Record<string, FakeProgram>> = {
	condor_submit: submit,
	condor_q: list(false),
	condor_history: list(true),
	condor_rm: remove,
};
