import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "@errand/proto";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { parseConfig } from "../../config/config.ts";
import type { QueueConfig } from "../../config/queue.ts";
import { silentLogger } from "../../service/logger.ts";
import { FakeBatchSystem, type FakeJob } from "../fake-batch-system.test-harness.ts";
import { schedulerContract } from "../scheduler.contract.ts";
import type { Scheduler } from "../scheduler.ts";
import { fakePbsPrograms, pbsDown } from "./fake-pbs.test-harness.ts";
import { openPbsScheduler } from "./pbs.ts";

const site = { history: true };
let system: FakeBatchSystem;
beforeAll(async () => {
	system = await FakeBatchSystem.start(fakePbsPrograms(site));
});
beforeEach(() => {
	system.reset();
	site.history = true;
});
afterAll(() => system.stop());

const open = (directory: string) => openPbsScheduler({ directory, log: silentLogger, commandTimeoutMs: 2_000 });

describe("PBS", () => {
	schedulerContract(open, {
		strangeJob: "999999.pbs.example.org",
		refused: { config: "queue: nosuch", words: /Unknown queue/ },
		silence: {
			begin: () => {
				system.down = pbsDown;
			},
			end: () => {
				system.down = undefined;
			},
		},
	});
});

describe("what PBS does to those who ask", () => {
	let directory: string;
	let scheduler: Scheduler;
	beforeEach(() => {
		directory = mkdtempSync(join(tmpdir(), "errand-scheduler-"));
		scheduler = open(directory);
		system.starts = false;
	});
	afterEach(() => {
		scheduler.close();
		rmSync(directory, { recursive: true, force: true });
	});
	const submit = async (): Promise<{ id: string; job: FakeJob }> => {
		const id = await scheduler.submit({
			blockId: newId(),
			jobName: "errand-block",
			queue: parseConfig("scheduler: pbs", "config.yaml", directory).queues[0] as QueueConfig,
			command: ["/bin/true"],
			environment: {},
			workerInit: "",
			nodes: 1,
			logPath: join(directory, "block.log"),
		});
		return { id, job: system.jobs.at(-1) as FakeJob };
	};
	const statusOf = async (id: string, by = scheduler) => (await by.poll([id])).get(id);

	test("a site without history is asked without it from then on, and an ended job is an unknown one there", async () => {
		site.history = false;
		const [{ id }, { id: other, job }] = [await submit(), await submit()];
		expect(await statusOf(id)).toMatchObject({ state: "pending" });
		system.calls.length = 0;
		job.state = "ended";
		scheduler.close();
		scheduler = open(directory);
		const states = await scheduler.poll([id, other]);
		expect(states.get(id)).toMatchObject({ state: "pending" });
		expect(states.get(other)).toMatchObject({ state: "ended", end: "vanished" });
		system.calls.length = 0;
		await scheduler.poll([id]);
		expect(system.calls.map(({ words }) => words.includes("-x"))).toEqual([false]);
	});

	test("a site that gets a history is asked for it: exit status 35 ends no other job", async () => {
		site.history = false;
		const [{ id }, { id: done, job }] = [await submit(), await submit()];
		await statusOf(id);
		site.history = true;
		job.state = "ended";
		job.starts = 1;
		job.end = { code: 0 };
		const states = await scheduler.poll([id, done]);
		expect(states.get(id)).toMatchObject({ state: "pending" });
		expect(states.get(done)).toMatchObject({ state: "ended", end: "completed" });
	});

	test("exit status 153 for one id leaves what is said of the others valid", async () => {
		const { id } = await submit();
		system.interfere("qstat", (answer) => ({
			...answer(),
			code: 153,
			stderr: "qstat: Unknown Job Id 5.pbs.example.org\n",
		}));
		const states = await scheduler.poll([id, "5.pbs.example.org"]);
		expect(states.get(id)).toMatchObject({ state: "pending" });
		expect(states.get("5.pbs.example.org")).toMatchObject({ state: "ended", end: "vanished" });
	});

	test("a job that was moved is asked for at the server that has it", async () => {
		const { id, job } = await submit();
		system.interfere("qstat", (answer) => {
			job.word = "M";
			(job.attributes as Map<string, string>).set("queue", "workq@other.example.org");
			const moved = answer();
			job.word = undefined;
			return moved;
		});
		job.state = "held";
		expect(await statusOf(id)).toMatchObject({ state: "held" });
		expect(system.callsOf("qstat").at(-1)?.words.at(-1)).toBe(`${id}@other.example.org`);
	});

	test("a moved job whose server does not answer waits", async () => {
		const { id, job } = await submit();
		job.word = "M";
		(job.attributes as Map<string, string>).set("queue", "workq@other.example.org");
		system.interfere("qstat", (answer) => answer());
		system.interfere("qstat", () => pbsDown);
		expect(await statusOf(id)).toMatchObject({ state: "pending" });
	});

	test("an estimated start as ctime writes it is read in the time zone that was asked in", async () => {
		const { id } = await submit();
		system.interfere("qstat", (answer, { environment }) => {
			expect(environment.TZ).toBe("UTC");
			const line = answer().stdout?.trimEnd();
			return { stdout: `${line}|estimated.start_time=Fri Nov 20 21:45:16 2026\n` };
		});
		expect((await statusOf(id))?.expectedStartMs).toBe(Date.UTC(2026, 10, 20, 21, 45, 16));
	});
});
