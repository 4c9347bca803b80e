/** The programs of LSF, as far as the adapter uses them, with their words and exit codes. */
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
	pending: "PEND",
	held: "PSUSP",
	running: "RUN",
	suspended: "USUSP",
	ending: "RUN",
	ended: "EXIT",
};
const reasons = {
	cancel: "TERM_OWNER: job killed by owner",
	walltime: "TERM_RUNLIMIT: job killed after reaching LSF run time limit",
	memory: "TERM_MEMLIMIT: job killed after reaching LSF memory usage limit",
	node: "TERM_ZOMBIE: job is lost by the LSF",
	preemption: "TERM_PREEMPT: job killed after preemption",
} as const;

export const lsfDown: FakeAnswer = { code: 255, stderr: "LSF is down. Please wait ...\n" };

const withValue = /^-(A|J|Jd|L|P|R|U|W|eo|gpu|n|nnodes|o|q|sla|w|alloc_flags)$/;
const flags = /^-(x|rn|r|H)$/;

function bsub({ input, words: given }: FakeCall, system: FakeBatchSystem): FakeAnswer {
	const attributes = new Map<string, string>();
	const options = [...directivesIn(input, "#BSUB").flatMap(wordsIn), ...given];
	for (let at = 0; at < options.length; at++) {
		const option = options[at] as string;
		if (flags.test(option)) attributes.set(option, "");
		else if (withValue.test(option)) attributes.set(option, options[++at] as string);
		else return { code: 255, stderr: `bsub: illegal option -- ${option}\nJob not submitted.\n` };
	}
	const queue = attributes.get("-q") ?? "normal";
	if (queue === "nosuch") return { code: 255, stderr: `${queue}: No such queue. Job not submitted.\n` };
	const walltime = attributes.get("-W") ?? "1";
	if (!/^\d+(:\d\d)?$/.test(walltime)) return { code: 255, stderr: `${walltime}: Bad RUNLIMIT. Job not submitted.\n` };
	const dependency = attributes.get("-w");
	if (dependency !== undefined && !/^\w+\(\d+\)( && \w+\(\d+\))*$/.test(dependency))
		return { code: 255, stderr: "Dependency condition invalid or never satisfied. Job not submitted.\n" };
	const job = system.submit({
		name: attributes.get("-J") ?? "STDIN",
		attributes,
		script: input,
		logPath: attributes.get("-o"),
		environment: (job) => ({ LSB_JOBID: String(job.number) }),
	});
	return {
		stdout: `** All projects are charged double in November **\nJob <${job.number}> is submitted to queue <${queue}>.\n`,
	};
}

function row(job: FakeJob): string {
	const { by, code, signal } = job.end;
	const ended = job.state === "ended";
	const isDone = ended && by === undefined && code === 0;
	const exit = !ended || isDone ? "-" : String(by === undefined ? (code ?? 128 + (signal ?? 0)) : 130);
	const reason = ended && by !== undefined ? reasons[by] : "-";
	return `${[job.number, job.word ?? (isDone ? "DONE" : words[job.state]), exit, reason, job.attributes.get("-Jd") ?? "-"].join("^")}\n`;
}

function bjobs({ words: given }: FakeCall, system: FakeBatchSystem): FakeAnswer {
	const ids = given.filter((word) => /^\d+$/.test(word)).map(Number);
	if (given[0] === "-p") {
		const waiting = ids.flatMap((id) => system.job(id) ?? []).filter(({ state }) => state === "pending");
		const lines = waiting.flatMap((job) => [
			`${job.number}  somebody PEND  normal     login1                 ${job.name} Nov 20 21:00`,
			...(job.reason === "" ? [] : [` ${job.reason};`]),
		]);
		return { stdout: `JOBID   USER    STAT  QUEUE      FROM_HOST   JOB_NAME   SUBMIT_TIME\n${lines.join("\n")}\n` };
	}
	const [header, option, format] = given;
	if (header !== "-noheader" || option !== "-o" || !format?.endsWith('delimiter="^"'))
		return { code: 255, stderr: "bjobs: illegal option\n" };
	const all = given.includes("-a");
	const shown = system.jobs.filter((job) => !job.forgotten && (all || job.state !== "ended"));
	if (ids.length === 0)
		return shown.length === 0 ? { stderr: "No unfinished job found\n" } : { stdout: shown.map(row).join("") };
	const found = shown.filter(({ number }) => ids.includes(number));
	const missing = ids.filter((id) => !found.some(({ number }) => number === id));
	return {
		code: missing.length === 0 ? 0 : 255,
		stdout: found.map(row).join(""),
		stderr: missing.map((id) => `Job <${id}> is not found\n`).join(""),
	};
}

function bkill({ words: given }: FakeCall, system: FakeBatchSystem): FakeAnswer {
	const signal = given[0] === "-s" ? given[1] : undefined;
	let stderr = "";
	for (const word of signal === undefined ? given : given.slice(2)) {
		const job = system.job(Number(word));
		if (job === undefined) stderr += `Job <${word}>: No matching job found\n`;
		else if (job.state === "ended") stderr += `Job <${word}>: Job has already finished\n`;
		else if (signal === "KILL") {
			system.cancel(job);
			system.kill(job);
		} else system.cancel(job);
	}
	return { code: stderr === "" ? 0 : 255, stderr };
}

export const fakeLsfPrograms: Readonly<Record<string, FakeProgram>> = { bsub, bjobs, bkill };
