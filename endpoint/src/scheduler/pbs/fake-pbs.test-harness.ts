/** The programs of PBS and of Torque, as far as adapters use them, with their words and exit codes. */
import {
	directivesIn,
	type FakeAnswer,
	type FakeBatchSystem,
	type FakeCall,
	type FakeJob,
	type FakeProgram,
	wordsIn,
} from "../fake-batch-system.test-harness.ts";

const server = "pbs.example.org";
const idOf = (job: FakeJob): string => `${job.number}.${server}`;
const letters: Readonly<Record<FakeJob["state"], string>> = {
	pending: "Q",
	held: "H",
	running: "R",
	suspended: "S",
	ending: "E",
	ended: "F",
};
const verdicts = { cancel: 271, walltime: -29, memory: -27, node: -20, preemption: 271 } as const;
const torqueVerdicts = { cancel: 271, walltime: -11, memory: -10, node: -3, preemption: 271 } as const;

/** PBSE_UNKJOBID, PBSE_HISTJOBID: their last eight bits are the exit code. */
const unknownCode = 153;
const finishedCode = 35;

export const pbsDown: FakeAnswer = {
	code: 255,
	stderr: "Connection refused\nqstat: cannot connect to server pbs.example.org (errno=111)\n",
};

function numberOf(word: string): number {
	return Number(/^\d+/.exec(word)?.[0]);
}

function exitStatus(job: FakeJob, table: typeof verdicts | typeof torqueVerdicts): number | undefined {
	const { by, code, signal } = job.end;
	if (by !== undefined) return job.starts === 0 ? undefined : table[by];
	return signal === undefined ? code : 256 + signal;
}

const optionsWithValue = /^-[ACNSWaceijkloqpPruv]$/;

function qsub({ input, words }: FakeCall, system: FakeBatchSystem): FakeAnswer {
	if (words.length > 0) return { code: 2, stderr: "usage: qsub [-a date_time] [-A account_string] …\n" };
	const attributes = new Map<string, string>();
	for (const directive of directivesIn(input, "#PBS")) {
		const options = wordsIn(directive);
		for (let at = 0; at < options.length; at++) {
			const option = (options[at] as string).slice(0, 2);
			if (option === "-n" || option === "-V") continue;
			if (option === "-m") {
				at++;
				continue;
			}
			if (!optionsWithValue.test(option)) return { code: 2, stderr: `qsub: invalid option -- '${option.slice(1)}'\n` };
			const value = (options[at] as string).length > 2 ? (options[at] as string).slice(2) : options[++at];
			attributes.set(option, [...(attributes.has(option) ? [attributes.get(option)] : []), value].join("\n"));
		}
	}
	const queue = attributes.get("-q");
	if (queue === "nosuch") return { code: 170, stderr: "qsub: Unknown queue\n" };
	if (attributes.get("-A") === "broke")
		return { code: 188, stderr: "qsub: Job rejected by all possible destinations (account broke has no hours)\n" };
	if (queue === "needy" && !attributes.get("-l")?.includes("filesystems="))
		return { code: 1, stderr: "qsub: Resource: filesystems is required to be set.\n" };
	const job = system.submit({
		name: attributes.get("-N") ?? "STDIN",
		attributes,
		script: input,
		logPath: attributes.get("-o"),
		environment: (job) => ({ PBS_ENVIRONMENT: "PBS_BATCH", PBS_JOBID: idOf(job) }),
		held: attributes.get("-W")?.includes("depend=") === true,
	});
	return { stdout: `Welcome to the example system.\n${idOf(job)}\n` };
}

const escaped = (value: string): string => value.replaceAll("|", "\\|").replaceAll("\n", "\\n");

function dsvOf(job: FakeJob): string {
	const status = job.state === "ended" ? exitStatus(job, verdicts) : undefined;
	const fields: Readonly<Record<string, string | undefined>> = {
		Job_Name: job.name,
		Job_Owner: "somebody@login1",
		job_state: job.word ?? letters[job.state],
		queue: job.attributes.get("queue") ?? job.attributes.get("-q") ?? "workq",
		substate: job.state !== "ended" ? undefined : job.end.by === "cancel" ? "91" : status === 0 ? "92" : "93",
		Variable_List: `PBS_O_HOME=/home/some|body,PBS_O_LANG=C,${job.attributes.get("-v")?.split("\n").at(-1) ?? ""}`,
		comment: job.reason === "" ? undefined : job.reason,
		"estimated.start_time": job.expectedStartMs === undefined ? undefined : String(job.expectedStartMs / 1000),
		run_count: job.starts === 0 ? undefined : String(job.starts),
		Exit_status: status === undefined ? undefined : String(status),
	};
	const shown = Object.entries(fields).flatMap(([name, value]) =>
		value === undefined ? [] : [`${name}=${escaped(value)}`],
	);
	return `Job Id: ${idOf(job)}|${shown.join("|")}\n`;
}

/** `history` is what the site has set. */
export interface FakePbsSite {
	history: boolean;
}

function qstat({ words }: FakeCall, system: FakeBatchSystem, site: FakePbsSite): FakeAnswer {
	const asksHistory = words.includes("-x");
	if (words.join(" ").replace("-x ", "").startsWith("-E -f -F dsv -D | ") === false)
		return { code: 2, stderr: "usage:\nqstat [-f] [-J] [-p] [-t] [-x] …\n" };
	if (asksHistory && !site.history) return { stdout: "qstat: job_history_enable is set to false\n" };
	const ids = words.slice(words.indexOf("|") + 1);
	let stdout = "";
	let stderr = "";
	let code = 0;
	const unknown: string[] = [];
	for (const id of ids) {
		const job = system.job(numberOf(id));
		if (job === undefined || (job.state === "ended" && !site.history)) unknown.push(id);
		else if (job.state === "ended" && !asksHistory) {
			stderr += `qstat: ${idOf(job)} Job has finished, use -x or -H to obtain historical job information\n`;
			code = finishedCode;
		} else stdout += dsvOf(job);
	}
	// Of several ids in one question those that are unknown are left out, unless none is known.
	if (unknown.length > 0 && stdout === "") {
		stderr += `qstat: Unknown Job Id ${unknown.join(",")}\n`;
		code = unknownCode;
	}
	return { code, stdout, stderr };
}

function qselect(_: FakeCall, system: FakeBatchSystem): FakeAnswer {
	const shown = system.jobs.filter((job) => job.state !== "ended" && !job.forgotten);
	return { stdout: shown.map((job) => `${idOf(job)}\n`).join("") };
}

function qdel({ words }: FakeCall, system: FakeBatchSystem): FakeAnswer {
	let stderr = "";
	for (const word of words) {
		const job = system.job(numberOf(word));
		if (job === undefined) stderr += `qdel: Unknown Job Id ${word}\n`;
		else if (job.state === "ended") stderr += `qdel: Job has finished ${word}\n`;
		else system.cancel(job);
	}
	return { code: stderr === "" ? 0 : unknownCode, stderr };
}

function qsig({ words }: FakeCall, system: FakeBatchSystem): FakeAnswer {
	for (const word of words.slice(2)) {
		const job = system.job(numberOf(word));
		if (job !== undefined) system.kill(job);
	}
	return {};
}

export function fakePbsPrograms(site: FakePbsSite): Readonly<Record<string, FakeProgram>> {
	return { qsub, qselect, qdel, qsig, qstat: (call, system) => qstat(call, system, site) };
}

const xmlText = (value: string): string =>
	value.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function xmlOf(job: FakeJob): string {
	const status = job.state === "ended" ? exitStatus(job, torqueVerdicts) : undefined;
	const fields: Readonly<Record<string, string | undefined>> = {
		Job_Id: idOf(job),
		Job_Name: job.name,
		job_state: job.word ?? (job.state === "ended" ? "C" : letters[job.state]),
		Variable_List: `PBS_O_QUEUE=batch,PBS_O_LANG=C,${job.attributes.get("-v")?.split("\n").at(-1) ?? ""}`,
		comment: job.reason === "" ? undefined : job.reason,
		exit_status: status === undefined ? undefined : String(status),
	};
	const shown = Object.entries(fields).flatMap(([name, value]) =>
		value === undefined ? [] : [`<${name}>${xmlText(value)}</${name}>`],
	);
	return `<Job>${shown.join("")}<Resource_List><walltime>00:10:00</walltime></Resource_List></Job>`;
}

function torqueQstat({ words }: FakeCall, system: FakeBatchSystem): FakeAnswer {
	if (words[0] !== "-x" || words.some((word) => /^-[^x]/.test(word)))
		return { code: 2, stderr: "usage:\nqstat [-f [-1]] [-W site_specific] [-x] [ job_identifier... ]\n" };
	let xml = "";
	let stderr = "";
	for (const word of words.slice(1)) {
		const job = system.job(numberOf(word));
		if (job === undefined) stderr += `qstat: Unknown Job Id Error ${word}\n`;
		else xml += xmlOf(job);
	}
	return { code: stderr === "" ? 0 : unknownCode, stdout: xml === "" ? "" : `<Data>${xml}</Data>\n`, stderr };
}

export const fakeTorquePrograms: Readonly<Record<string, FakeProgram>> = {
	qsub,
	qselect,
	qdel,
	qsig,
	qstat: torqueQstat,
};
