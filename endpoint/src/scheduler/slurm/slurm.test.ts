import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { newId } from "@errand/proto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseConfig } from "../../config/config.ts";
import type { QueueConfig } from "../../config/queue.ts";
import { silentLogger } from "../../service/logger.ts";
import { type BlockSpec, type Scheduler, SchedulerSilent, SubmitRejected } from "../scheduler.ts";
import { openSlurmScheduler } from "./slurm.ts";

/** Slurm's programs that answer what a test says; real ones are asked in test/schedulers. */
describe("Slurm's programs", () => {
	let directory: string;
	let scheduler: Scheduler;
	const recorded = (name: string) => fileURLToPath(new URL(`transcripts/${name}`, import.meta.url));
	const squeueAnswer = recorded("squeue-22.05.txt");
	const program = (name: string, script: string) =>
		writeFileSync(join(directory, "bin", name), `#!/bin/sh\necho "${name} $*" >> ${directory}/calls\n${script}\n`, {
			mode: 0o755,
		});
	const calls = () =>
		readFileSync(join(directory, "calls"), "utf8")
			.trim()
			.split("\n")
			.map((line) => line.split(" ")[0]);

	beforeEach(() => {
		directory = mkdtempSync(join(tmpdir(), "errand-slurm-programs-"));
		mkdirSync(join(directory, "bin"));
		program("squeue", `cat ${squeueAnswer}`);
		program("scontrol", "echo 'Slurmctld(primary) at head is UP'");
		program("sacct", `cat ${recorded("sacct-22.05.txt")}`);
		scheduler = openSlurmScheduler({
			directory,
			commandTimeoutMs: 10_000,
			log: silentLogger,
			environment: { PATH: `${join(directory, "bin")}:/usr/bin:/bin` },
		});
	});
	afterEach(() => {
		scheduler.close();
		rmSync(directory, { recursive: true, force: true });
	});

	const spec = (): BlockSpec => ({
		blockId: newId(),
		jobName: "errand-x",
		queue: parseConfig("scheduler: slurm", "config.yaml", directory).queues[0] as QueueConfig,
		command: ["/bin/true"],
		environment: {},
		workerInit: "",
		nodes: 1,
		logPath: join(directory, "logs", "block.log"),
	});
	const failure = (promise: Promise<unknown>) =>
		promise.then(() => undefined).catch((error: unknown) => error as Error);

	test("one question is enough for jobs that the controller knows", async () => {
		const states = await scheduler.poll(["1:456789ab"]);
		expect(states.get("1:456789ab")).toMatchObject({ state: "ended", end: "failed", exitCode: 3 });
		expect(calls()).toEqual(["squeue"]);
	});

	test("how a job ended that the controller has forgotten is in the site's records, and is no other job's end", async () => {
		program("squeue", `head -1 ${squeueAnswer}`);
		const states = await scheduler.poll(["1:456789ab", "2:456789ab", "5:456789ab"]);
		expect(states.get("1:456789ab")).toMatchObject({ state: "ended", end: "failed", exitCode: 3 });
		// Slurm's number 2 was given to a job of another name, and 5 is alive in the records alone.
		for (const id of ["2:456789ab", "5:456789ab"])
			expect(states.get(id)).toMatchObject({ state: "ended", end: "vanished" });
		expect(calls()).toEqual(["squeue", "scontrol", "sacct"]);
	});

	test("a site that keeps no records is asked for them once", async () => {
		program("squeue", `head -1 ${squeueAnswer}`);
		program("sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1");
		for (const _ of "ab")
			expect((await scheduler.poll(["1:456789ab"])).get("1:456789ab")).toMatchObject({ end: "vanished" });
		expect(calls()).toEqual(["squeue", "scontrol", "sacct", "squeue", "scontrol"]);
	});

	test.each([
		["garbage", "echo '<html>502 Bad Gateway</html>'"],
		["nothing and ends well", "exit 0"],
		["an error", "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1"],
	])("a squeue that says %s has not said that a job has ended", async (_, script) => {
		program("squeue", script);
		expect(await failure(scheduler.poll(["1:456789ab"]))).toBeInstanceOf(SchedulerSilent);
		expect(await failure(scheduler.listOurs())).toBeInstanceOf(SchedulerSilent);
		expect(await failure(scheduler.submit(spec()))).toBeInstanceOf(SchedulerSilent);
		expect(new Set(calls())).toEqual(new Set(["squeue"]));
	});

	test("an empty queue is no end while no controller says that it is there", async () => {
		program("squeue", `head -1 ${squeueAnswer}`);
		program("scontrol", "echo 'Slurmctld(primary) at head is DOWN'; exit 1");
		expect(await failure(scheduler.poll(["1:456789ab"]))).toBeInstanceOf(SchedulerSilent);
	});

	test("the number of a job is found among a site's greetings, whatever sbatch ends with", async () => {
		const block = spec();
		program("sbatch", "echo 'Welcome to Vulcan!'; echo '4711;vulcan'; echo 'your quota is nearly used' >&2; exit 1");
		expect(await scheduler.submit(block)).toBe(`4711:${block.blockId.slice(-8)}`);
	});

	test("the job gets the user's language and time zone, and none of a surrounding job's variables", async () => {
		program("sbatch", `env > ${directory}/environment; echo 1`);
		Object.assign(process.env, { SLURM_JOB_ID: "1", SBATCH_ACCOUNT: "wrong", SLURM_CONF: "/etc/slurm.conf" });
		try {
			await scheduler.submit(spec());
		} finally {
			for (const name of ["SLURM_JOB_ID", "SBATCH_ACCOUNT", "SLURM_CONF"]) delete process.env[name];
		}
		const environment = readFileSync(join(directory, "environment"), "utf8");
		expect(environment).not.toMatch(/^(SLURM_JOB_ID|SBATCH_|LC_ALL=C$|TZ=UTC)/m);
		expect(environment).toMatch(/^SLURM_CONF=/m);
	});

	test.each([
		["Invalid account or account/partition combination specified", 1],
		["Invalid qos specification", 1],
		["Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)", 1],
	])("%s: the words of sbatch are the refusal", async (words, status) => {
		program("sbatch", `echo "sbatch: error: Batch job submission failed: ${words}" >&2; exit ${status}`);
		const error = await failure(scheduler.submit(spec()));
		expect(error).toBeInstanceOf(SubmitRejected);
		expect(error?.message).toBe(`Batch job submission failed: ${words}`);
	});

	test.each([
		"sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
		"sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
		"sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received",
		"sbatch: fatal: Could not establish a configuration source",
	])("%s is no refusal: the queue is looked at, now and before the next try", async (words) => {
		program("sbatch", `echo "${words}" >&2; exit 1`);
		const block = spec();
		expect(await failure(scheduler.submit(block))).toBeInstanceOf(SchedulerSilent);
		expect(calls()).toEqual(["squeue", "sbatch", "squeue"]);
		program("sbatch", "echo 12");
		expect(await scheduler.submit(block)).toMatch(/^12:/);
		expect(calls()).toEqual(["squeue", "sbatch", "squeue", "squeue", "sbatch"]);
	});

	test("a queue that has been looked at once is not looked at before every submit", async () => {
		program("sbatch", "echo 12");
		await scheduler.submit(spec());
		await scheduler.submit(spec());
		expect(calls()).toEqual(["squeue", "sbatch", "sbatch"]);
	});

	test("a machine without Slurm says so", async () => {
		const bare = openSlurmScheduler({
			directory,
			commandTimeoutMs: 1_000,
			log: silentLogger,
			environment: { PATH: "/nonexistent" },
		});
		expect((await failure(bare.listOurs()))?.message).toMatch(/squeue cannot be run/);
	});
});
