/** `flux`, as far as the adapter uses it, with its words and exit codes. */
import {
	directivesIn,
	type FakeAnswer,
	type FakeBatchSystem,
	type FakeCall,
	type FakeJob,
	type FakeProgram,
	wordsIn,
} from "../fake-batch-system.test-harness.ts";

const words: Readonly<Record<FakeJob["state"], string>> = {
	pending: "SCHED",
	held: "PRIORITY",
	running: "RUN",
	suspended: "RUN",
	ending: "CLEANUP",
	ended: "INACTIVE",
};
const ends = {
	cancel: ["CANCELED", "cancel", ""],
	walltime: ["TIMEOUT", "timeout", "resource allocation expired"],
	memory: ["FAILED", "exec", "task was killed by the kernel"],
	node: ["FAILED", "node-fail", "lost contact with node7"],
	preemption: ["FAILED", "preempt", "made room"],
} as const;

export const fluxDown: FakeAnswer = {
	code: 1,
	stderr: "flux-jobs: ERROR: Unable to connect to Flux: broker socket /run/flux/local was not found\n",
};

const digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/** F58, as Flux prints ids. */
export function f58(number: number, ascii: boolean): string {
	let text = "";
	for (let left = number; left > 0; left = Math.floor(left / 58)) text = digits[left % 58] + text;
	return `${ascii ? "f" : "ƒ"}${text}`;
}
function numberOf(id: string): number {
	return [...id.replace(/^[fƒ]/, "")].reduce((sum, digit) => sum * 58 + digits.indexOf(digit), 0);
}

const known =
	/^--(nodes|nslots|cores-per-slot|gpus-per-slot|time-limit|queue|bank|requires|dependency|output|job-name|setattr)=|^--exclusive$/;

function batch({ input, environment }: FakeCall, system: FakeBatchSystem): FakeAnswer {
	const attributes = new Map<string, string>();
	for (const option of directivesIn(input, "# flux:").flatMap(wordsIn)) {
		if (!known.test(option)) return { code: 1, stderr: `flux-batch: ERROR: unrecognized arguments: ${option}\n` };
		const [, name = "", value = ""] = /^--([\w-]+)=?(.*)$/.exec(option) ?? [];
		attributes.set(name, value);
	}
	const queue = attributes.get("queue");
	if (queue === "nosuch") return { code: 1, stderr: "flux-batch: ERROR: [Errno 22] Invalid queue nosuch specified\n" };
	const job = system.submit({
		name: attributes.get("job-name") ?? "",
		attributes,
		script: input,
		logPath: attributes.get("output"),
		environment: (job) => ({ FLUX_JOB_ID: f58(job.number, false) }),
	});
	return { stdout: `${f58(job.number, environment.FLUX_F58_FORCE_ASCII === "1")}\n` };
}

function row(job: FakeJob, format: string, ascii: boolean): string {
	const { by, code, signal } = job.end;
	const ended = job.state === "ended";
	const [result, exception, note] = !ended
		? ["", "", ""]
		: by !== undefined
			? ends[by]
			: [code === 0 ? "COMPLETED" : "FAILED", "", ""];
	const values: Readonly<Record<string, string | number>> = {
		"id.f58": f58(job.number, ascii),
		state: job.word ?? words[job.state],
		result,
		returncode: !ended
			? ""
			: by !== undefined
				? job.starts === 0
					? -128
					: -15
				: signal !== undefined
					? -signal
					: (code ?? ""),
		urgency: job.state === "held" ? 0 : 16,
		"annotations.sched.t_estimate": job.expectedStartMs === undefined ? "" : job.expectedStartMs / 1000,
		"exception.type": exception,
		name: job.name,
		"annotations.sched.reason_pending": job.reason,
		"exception.note": note,
	};
	return `${format.replaceAll(/\{([\w.]+)\}/g, (_, name: string) => String(values[name] ?? ""))}\n`;
}

function jobs({ words: given, environment }: FakeCall, system: FakeBatchSystem): FakeAnswer {
	const ascii = environment.FLUX_F58_FORCE_ASCII === "1";
	const format = given[given.indexOf("-o") + 1] as string;
	const ids = given.slice(given.indexOf("-o") + 2).filter((word) => word !== "-a");
	const wrong = ids.find((id) => !/^[fƒ][1-9A-HJ-NP-Za-km-z]+$/.test(id));
	if (wrong !== undefined)
		return { code: 2, stderr: `flux-jobs: error: argument JOBID: invalid JobID value: '${wrong}'\n` };
	if (ids.length === 0) {
		const shown = system.jobs.filter((job) => !job.forgotten && (given.includes("-a") || job.state !== "ended"));
		return { stdout: shown.map((job) => row(job, format, ascii)).join("") };
	}
	let stdout = "";
	let stderr = "";
	for (const id of ids) {
		const job = system.job(numberOf(id));
		if (job === undefined) stderr += `JobID ${id} unknown\n`;
		else stdout += row(job, format, ascii);
	}
	return { code: stderr === "" ? 0 : 1, stdout, stderr };
}

function cancel(ids: readonly string[], force: boolean, system: FakeBatchSystem): FakeAnswer {
	let stderr = "";
	for (const id of ids) {
		const job = system.job(numberOf(id));
		if (job === undefined) stderr += `flux-cancel: ${id}: unknown job id\n`;
		else if (job.state === "ended") stderr += `flux-cancel: ${id}: job is inactive\n`;
		else if (force) system.kill(job);
		else system.cancel(job);
	}
	return { code: stderr === "" ? 0 : 1, stderr };
}

const flux: FakeProgram = (call, system) => {
	const [verb, ...rest] = call.words;
	if (verb === "batch") return batch({ ...call, words: rest }, system);
	if (verb === "jobs") return jobs({ ...call, words: rest }, system);
	if (verb === "cancel") return cancel(rest, false, system);
	if (verb === "job" && rest[0] === "kill" && rest[1] === "--signal=SIGKILL")
		return cancel(rest.slice(2), true, system);
	return { code: 1, stderr: `flux: '${verb}' is not a flux command\n` };
};

export const fakeFluxPrograms: Readonly<Record<string, FakeProgram>> = { flux };
