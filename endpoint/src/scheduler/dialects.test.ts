/** What every scheduler does to the jobs of an endpoint, and what their adapters make of it; on the fake batch system. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "@errand/proto";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { parseConfig } from "../config/config.ts";
import type { QueueConfig } from "../config/queue.ts";
import { silentLogger } from "../service/logger.ts";
import {
	type FakeAnswer,
	FakeBatchSystem,
	type FakeJob,
	type FakeJobEnd,
	type FakeProgram,
} from "./fake-batch-system.test-harness.ts";
import { f58, fakeFluxPrograms, fluxDown } from "./flux/fake-flux.test-harness.ts";
import { openFluxScheduler } from "./flux/flux.ts";
import { condorDown, fakeCondorPrograms } from "./htcondor/fake-condor.test-harness.ts";
import { openCondorScheduler } from "./htcondor/htcondor.ts";
import { fakeLsfPrograms, lsfDown } from "./lsf/fake-lsf.test-harness.ts";
import { openLsfScheduler } from "./lsf/lsf.ts";
import { fakePbsPrograms, fakeTorquePrograms, pbsDown } from "./pbs/fake-pbs.test-harness.ts";
import { openPbsScheduler } from "./pbs/pbs.ts";
import {
	type BlockSpec,
	type JobEnd,
	type Scheduler,
	type SchedulerOptions,
	SchedulerSilent,
	SubmitRejected,
} from "./scheduler.ts";
import { openTorqueScheduler } from "./torque/torque.ts";

interface Tried {
	readonly open: (options: SchedulerOptions) => Scheduler;
	readonly programs: Readonly<Record<string, FakeProgram>>;
	readonly down: FakeAnswer;
	readonly submit: string;
	/** The program that tells of jobs. */
	readonly status: string;
	/** The word that makes of a call of it a question for jobs. */
	readonly asks?: string;
	readonly idOf: (job: FakeJob) => string;
	/** It tells why a job waits. */
	readonly tellsReasons: boolean;
	readonly ends: Partial<Record<NonNullable<FakeJobEnd["by"]>, JobEnd>>;
	readonly refused: readonly string[];
}

const pbsId = (job: FakeJob): string => `${job.number}.pbs.example.org`;
const tried: Readonly<Record<string, Tried>> = {
	PBS: {
		open: openPbsScheduler,
		programs: fakePbsPrograms({ history: true }),
		down: pbsDown,
		submit: "qsub",
		status: "qstat",
		idOf: pbsId,
		tellsReasons: true,
		ends: { cancel: "cancelled", walltime: "timeout", memory: "out-of-memory", node: "node-failure" },
		refused: ["qos: high", "constraint: gpu", "parallel_environment: mpi"],
	},
	Torque: {
		open: openTorqueScheduler,
		programs: fakeTorquePrograms,
		down: pbsDown,
		submit: "qsub",
		status: "qstat",
		idOf: pbsId,
		tellsReasons: true,
		ends: { cancel: "cancelled", walltime: "timeout", memory: "out-of-memory" },
		refused: ["parallel_environment: mpi"],
	},
	LSF: {
		open: openLsfScheduler,
		programs: fakeLsfPrograms,
		down: lsfDown,
		submit: "bsub",
		status: "bjobs",
		idOf: ({ number }) => String(number),
		tellsReasons: true,
		ends: {
			cancel: "cancelled",
			walltime: "timeout",
			memory: "out-of-memory",
			node: "node-failure",
			preemption: "preempted",
		},
		refused: ["qos: high", "select_options: a=b", "parallel_environment: mpi"],
	},
	HTCondor: {
		open: openCondorScheduler,
		programs: fakeCondorPrograms,
		down: condorDown,
		submit: "condor_submit",
		status: "condor_q",
		idOf: ({ number }) => `${number}.0`,
		tellsReasons: false,
		ends: { cancel: "cancelled", walltime: "timeout", memory: "out-of-memory" },
		refused: [
			"queue: long",
			"qos: high",
			"reservation: r1",
			"select_options: a=b",
			"parallel_environment: mpi",
			"depends_on_job: afterok:1",
			"nodes_per_block: 2",
		],
	},
	Flux: {
		open: openFluxScheduler,
		programs: fakeFluxPrograms,
		down: fluxDown,
		submit: "flux",
		status: "flux",
		asks: "jobs",
		idOf: ({ number }) => f58(number, true),
		tellsReasons: true,
		ends: { cancel: "cancelled", walltime: "timeout", node: "node-failure", preemption: "preempted" },
		refused: ["qos: high", "reservation: r1", "select_options: a=b", "parallel_environment: mpi"],
	},
};

describe.each(Object.entries(tried))("%s", (_, { open, programs, down, submit, status, asks, idOf, ...expected }) => {
	let system: FakeBatchSystem;
	let directory: string;
	let scheduler: Scheduler;
	const opened: Scheduler[] = [];
	beforeAll(async () => {
		system = await FakeBatchSystem.start(programs);
	});
	afterAll(() => system.stop());
	beforeEach(() => {
		system.reset();
		directory = mkdtempSync(join(tmpdir(), "errand-scheduler-"));
		scheduler = openAgain();
	});
	afterEach(() => {
		for (const each of opened.splice(0)) each.close();
		rmSync(directory, { recursive: true, force: true });
		vi.useRealTimers();
	});

	/** As a daemon that knows nothing but its directory. */
	function openAgain(commandTimeoutMs = 10_000): Scheduler {
		const one = open({ directory, log: silentLogger, commandTimeoutMs });
		opened.push(one);
		return one;
	}
	const specOf = (config = ""): BlockSpec => ({
		blockId: newId(),
		jobName: "errand-block",
		queue: parseConfig(`scheduler: ${scheduler.name}\n${config}`, "config.yaml", directory).queues[0] as QueueConfig,
		command: ["/bin/sleep", "1000"],
		environment: { ERRAND_TOKEN: "a-secret" },
		workerInit: "",
		nodes: /nodes_per_block: (\d+)/.test(config) ? Number(RegExp.$1) : 1,
		logPath: join(directory, "logs", "block.log"),
	});
	const newest = (): FakeJob => system.jobs.at(-1) as FakeJob;
	const statusOf = async (id: string, by = scheduler) => (await by.poll([id])).get(id);
	const submitWaiting = async (): Promise<{ id: string; job: FakeJob }> => {
		system.starts = false;
		const id = await scheduler.submit(specOf());
		return { id, job: newest() };
	};

	test("a submit that is given up although the job was taken finds the job, and makes no second one", async () => {
		scheduler = openAgain(2_000);
		system.starts = false;
		const spec = specOf();
		await scheduler.listOurs();
		if (asks !== undefined) system.interfere(submit, (answer) => answer()); // the look for earlier jobs
		system.interfere(submit, (answer) => {
			answer();
			return "silence";
		});
		const id = await scheduler.submit(spec);
		expect(system.jobs.map(idOf)).toEqual([id]);
		expect(await scheduler.submit(spec)).toBe(id);
		expect(await openAgain().submit(spec)).toBe(id);
		expect(system.jobs).toHaveLength(1);
	});

	test("a submit that nobody answered is repeated once somebody answers", async () => {
		system.starts = false;
		const spec = specOf();
		await scheduler.listOurs();
		system.down = down;
		await expect(scheduler.submit(spec)).rejects.toBeInstanceOf(SchedulerSilent);
		await expect(scheduler.submit(spec)).rejects.toBeInstanceOf(SchedulerSilent);
		system.down = undefined;
		const id = await scheduler.submit(spec);
		expect(system.jobs.map(idOf)).toEqual([id]);
	});

	test("an id between banners is read whatever the exit status, and one that is not told is looked for", async () => {
		system.starts = false;
		const around = (more: (plain: FakeAnswer) => FakeAnswer) => {
			if (asks !== undefined) system.interfere(submit, (answer) => answer());
			system.interfere(submit, (answer) => more(answer()));
		};
		around(({ stdout }) => ({
			code: 1,
			stdout: `*** 2 days to maintenance ***\n${stdout}`,
			stderr: "warning: quota\n",
		}));
		const first = await scheduler.submit(specOf());
		expect(idOf(newest())).toBe(first);
		const other = openAgain();
		around(() => ({ code: 0, stdout: "thank you\n" }));
		const second = await other.submit(specOf());
		expect(idOf(newest())).toBe(second);
		expect(system.jobs).toHaveLength(2);
	});

	test.each(expected.refused)("%s is refused, for it would be ignored", async (setting) => {
		await expect(scheduler.submit(specOf(setting))).rejects.toBeInstanceOf(SubmitRejected);
		await expect(scheduler.submit(specOf(setting))).rejects.toThrow((setting.split(":") as [string])[0]);
		expect(system.calls).toEqual([]);
	});

	test("a job whose files cannot be written was not refused: it is submitted when they can be", async () => {
		const inTheWay = join(directory, "logs");
		writeFileSync(inTheWay, "");
		system.starts = false;
		const spec = specOf();
		await expect(scheduler.submit(spec)).rejects.toBeInstanceOf(SchedulerSilent);
		rmSync(inTheWay);
		expect(await scheduler.submit(spec)).toBe(idOf(newest()));
		expect(system.jobs).toHaveLength(1);
	});

	test("the secret reaches the job and nothing that others may read", async () => {
		system.starts = false;
		await scheduler.submit(specOf());
		for (const { words } of system.calls) expect(words.join(" ")).not.toContain("a-secret");
		for (const value of newest().attributes.values()) expect(value).not.toContain("a-secret");
	});

	test("nothing is asked about no jobs, and about many jobs one question is asked", async () => {
		expect(await scheduler.poll([])).toEqual(new Map());
		expect(system.calls).toEqual([]);
		const ids = [];
		for (let i = 0; i < 5; i++) ids.push(await scheduler.submit(specOf()));
		system.calls.length = 0;
		const states = await scheduler.poll(ids);
		expect([...states.values()].map(({ state }) => state)).toEqual(ids.map(() => "running"));
		expect(system.calls).toHaveLength(1);
	});

	test("a job waits, is held, let go, suspended: each in its word, with the scheduler's reason where it tells one", async () => {
		const { id, job } = await submitWaiting();
		job.reason = "Not enough free nodes | available <now>";
		const waits = await statusOf(id);
		expect(waits).toMatchObject({ state: "pending" });
		if (expected.tellsReasons) expect(waits?.reason).toContain("Not enough free nodes | available <now>");
		job.state = "held";
		expect(await statusOf(id)).toMatchObject({ state: "held" });
		job.state = "pending";
		system.run(job);
		expect(await statusOf(id)).toMatchObject({ state: "running" });
		if (scheduler.name === "flux") return; // Flux suspends no jobs
		job.state = "suspended";
		expect(await statusOf(id)).toMatchObject({ state: "suspended" });
		job.state = "running";
	});

	test("a word that is not known is no end", async () => {
		const { id, job } = await submitWaiting();
		for (const word of ["Z9", "9", "FINISHED_PERHAPS", "ended", "<&|^>"]) {
			job.word = word;
			expect(await statusOf(id)).toMatchObject({ state: "unknown" });
		}
	});

	test("when the scheduler expects to start a job is told where it says so", async () => {
		const { id, job } = await submitWaiting();
		job.expectedStartMs = Date.UTC(2031, 4, 6, 7, 8, 9);
		const told = scheduler.capabilities.expectsStarts ? job.expectedStartMs : undefined;
		expect((await statusOf(id))?.expectedStartMs).toBe(told);
	});

	test.each(Object.entries(expected.ends))("a job that ended by %s is told as %s", async (by, end) => {
		const id = await scheduler.submit(specOf());
		system.cancel(newest(), by as FakeJobEnd["by"]);
		await vi.waitFor(async () => expect(await statusOf(id)).toMatchObject({ state: "ended", end }));
		expect((await statusOf(id, openAgain()))?.reason).not.toBe("");
	});

	test("how a job ended by itself is told: well, with a status, by a signal", async () => {
		const id = await scheduler.submit(specOf());
		const job = newest();
		system.kill(job);
		await vi.waitFor(() => expect(job.state).toBe("ended"));
		expect(await statusOf(id)).toMatchObject({ state: "ended", end: "failed" });
		job.end = { code: 0 };
		expect(await statusOf(id)).toMatchObject({ state: "ended", end: "completed", exitCode: 0 });
		job.end = { code: 3 };
		expect(await statusOf(id)).toMatchObject({ state: "ended", end: "failed", exitCode: 3 });
	});

	test("a job that was cancelled while it waited was cancelled", async () => {
		const { id, job } = await submitWaiting();
		system.cancel(job);
		expect(await statusOf(id)).toMatchObject({ state: "ended", end: "cancelled" });
	});

	test("a job that is not shown yet has not ended; one that is not shown for a minute has", async () => {
		vi.useFakeTimers({ toFake: ["performance"] });
		const { id, job } = await submitWaiting();
		job.forgotten = true;
		expect(await statusOf(id)).toMatchObject({ state: "unknown" });
		vi.advanceTimersByTime(59_000);
		expect(await statusOf(id)).toMatchObject({ state: "unknown" });
		vi.advanceTimersByTime(2_000);
		expect(await statusOf(id)).toMatchObject({ state: "ended", end: "vanished" });
	});

	test("one forgotten job among others is told as vanished, and the others as they are", async () => {
		const lives = await scheduler.submit(specOf());
		const lost = await scheduler.submit(specOf());
		newest().forgotten = true;
		const states = await openAgain().poll([lost, lives]);
		expect(states.get(lives)).toMatchObject({ state: "running" });
		expect(states.get(lost)).toMatchObject({ state: "ended", end: "vanished" });
	});

	test("a job that has the id of a forgotten one is not taken for it", async () => {
		const { id, job } = await submitWaiting();
		job.forgotten = true;
		system.reuseNumber(job.number);
		const again = await scheduler.submit(specOf());
		expect(again).toBe(id);
		// The one that was asked for first, by a daemon that remembers which block it was.
		expect([...(await scheduler.listOurs()).values()]).toEqual([id]);
		const other = mkdtempSync(join(tmpdir(), "errand-scheduler-"));
		const stranger = open({ directory: other, log: silentLogger, commandTimeoutMs: 10_000 });
		expect(await statusOf(id, stranger)).toMatchObject({ state: "ended", end: "vanished" });
		stranger.close();
		rmSync(other, { recursive: true });
	});

	test.each<[string, FakeAnswer | "silence"]>([
		["nothing, and that all is well", {}],
		["nothing, and that it failed", { code: 1 }],
		["the page of a proxy", { stdout: "<html><body>503 Job Id: none</body></html>\n" }],
		["half a line", { stdout: "Job Id\n123^\n<Data><Job><Job_Id>" }],
		["that it cannot be reached", down],
		["too late", "silence"],
	])("a scheduler that says %s ends no job", async (_, answer) => {
		const slow = openAgain(500);
		const { id } = await submitWaiting();
		const interfere = (): void => {
			for (let i = 0; i < 3; i++) system.interfere(status, () => answer);
		};
		interfere();
		const [told] = await Promise.allSettled([slow.poll([id])]);
		if (told.status === "rejected") expect(told.reason).toBeInstanceOf(SchedulerSilent);
		// Condor's queue is empty where nobody waits, and its history then says nothing either.
		else if (scheduler.name !== "htcondor") expect.unreachable("nothing was said of the job");
		system.reset();
	});

	test("jobs that wait, are held or run are cancelled; ended and unknown ones are no failure", async () => {
		const { id: pending, job } = await submitWaiting();
		system.starts = true;
		const running = await scheduler.submit(specOf());
		const { id: held, job: heldJob } = await submitWaiting();
		heldJob.state = "held";
		await scheduler.cancel([pending, running, held, "no id at all"], 10_000);
		expect(system.jobs.map(({ state }) => state)).toEqual(["ended", "ended", "ended"]);
		job.forgotten = true;
		await openAgain().cancel([pending, running, held], 10_000);
	});

	test("jobs of the same endpoint are listed as long as they have not ended, in whatever state", async () => {
		const first = specOf();
		const [one, two] = [await scheduler.submit(first), await scheduler.submit(specOf())];
		const ended = newest();
		system.cancel(ended);
		await vi.waitFor(() => expect(ended.state).toBe("ended"));
		const { id, job } = await submitWaiting();
		job.state = "held";
		expect(two).toBe(idOf(ended));
		const listed = await openAgain().listOurs();
		expect(listed.get(first.blockId)).toBe(one);
		expect([...listed.values()].sort()).toEqual([one, id].sort());
	});

	test("a list that was not answered is not an empty list", async () => {
		system.down = down;
		await expect(scheduler.listOurs()).rejects.toBeInstanceOf(SchedulerSilent);
	});
});
