import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, test } from "vitest";
import { SchedulerSilent, SubmitRejected } from "../../endpoint/src/scheduler/scheduler.ts";
import { queueQuestion } from "../../endpoint/src/scheduler/slurm/states.ts";
import { isAlive } from "../harness/pids.ts";
import { type SlurmOptions, startSlurm, type TestSlurm } from "../harness/slurm.ts";
import { SlurmBlocks } from "../harness/slurm-blocks.ts";

/** As a site refuses what it does not want; the words are the site's. */
const siteRules = `
function slurm_job_submit(job, partitions, uid)
	if job.account == "physics-old" then
		slurm.log_user("account physics-old has ended; apply for a new one")
		return slurm.ERROR
	end
	return slurm.SUCCESS
end
function slurm_job_modify(job, record, partitions, uid) return slurm.SUCCESS end
return slurm.SUCCESS
`;

/** A line of config.yaml that hands one option to sbatch as it is. */
const options = (option: string): string => `scheduler_options: "#SBATCH ${option}"`;

describe("jobs of a real Slurm in trouble", { timeout: 120_000 }, () => {
	let slurm: TestSlurm;
	let blocks: SlurmBlocks;
	beforeAll(async () => {
		slurm = await startSlurm({
			siteRules,
			lines: [
				"PreemptType=preempt/partition_prio",
				"PreemptMode=CANCEL",
				"PartitionName=low Nodes=ALL PriorityTier=1 PreemptMode=CANCEL GraceTime=0 MaxTime=30 State=UP",
				"PartitionName=high Nodes=ALL PriorityTier=100 PreemptMode=OFF MaxTime=30 State=UP",
			],
		});
		blocks = new SlurmBlocks(slurm);
	});
	afterAll(async () => {
		await blocks?.close();
		await slurm?.stop();
	});

	test.concurrent("a block at the end of its walltime is asked to end, and ended by its time limit", async ({
		expect,
	}) => {
		const block = await blocks.submit(blocks.spec());
		await block.untilLog("up");
		// Slurm looks for such jobs every 30 s; the limit itself has minutes.
		await slurm.command("scontrol", "update", `JobId=${block.number}`, "EndTime=now");
		await block.until({ state: "ended", end: "timeout", reason: expect.stringMatching(/^TIMEOUT \(TimeLimit\)/) });
		await block.untilLog("term");
	});

	test.concurrent.each<[what: string, config: string, words: RegExp]>([
		["an unknown partition", "partition: nosuch", /^invalid partition specified: nosuch; .*Invalid partition name/],
		["a partition that is closed", "partition: drained", /Required partition not available/],
		["more time than the partition gives", "walltime: 2h", /Requested time limit is invalid/],
		["more nodes than there are", "nodes_per_block: 99", /Node count specification invalid|More processors requested/],
		["an unknown feature", "constraint: nosuch", /Invalid feature specification/],
		["an unknown reservation", "reservation: nosuch", /Requested reservation is invalid/],
		["more memory than a node has", "memory_per_node: 999GB", /Requested node configuration is not available/],
		["more GPUs than a node has", "available_accelerators: 9", /Requested node configuration is not available/],
		["an unknown device", options("--gres=fpga:1"), /Invalid generic resource/],
		["a wrong option", options("--frobnicate=3"), /unrecognized option '--frobnicate=3'/],
		["a rule of the site's", "account: physics-old", /^account physics-old has ended; apply for a new one/],
		["another scheduler's setting", "select_options: ngpus=1", /select_options is for PBS/],
		["an array", options("--array=0-9"), /one job of one cluster/],
	])("NEW-9: %s: the block is refused in the scheduler's own words and nothing is left", async (_, config, words) => {
		const spec = blocks.spec(config);
		const error: unknown = await blocks.scheduler.submit(spec).catch((caught: unknown) => caught);
		if (!(error instanceof SubmitRejected)) throw error;
		if (!words.test(error.message)) throw new Error(`it said: ${error.message}`);
		if ((await blocks.scheduler.listOurs()).has(spec.blockId)) throw new Error("a job is left");
	});

	test.concurrent("a block of two nodes has a manager on each, and both are asked to end", async ({ expect }) => {
		const block = await blocks.submit(blocks.spec("nodes_per_block: 2"));
		await block.untilLog(/up.*\n.*up/);
		const nodes = [...block.log.matchAll(/^up (\S+)/gm)].map(([, node]) => node);
		expect(new Set(nodes).size).toBe(2);
		await blocks.scheduler.cancel([block.id], 20_000);
		expect(block.log.match(/^term/gm)).toHaveLength(2);
	});

	test.concurrent("a block that its user holds is held until it is let go", async () => {
		const block = await blocks.submit(blocks.spec(options("--hold")));
		await block.until({ state: "held", reason: "JobHeldUser" });
		await slurm.command("scontrol", "release", block.number);
		await block.until({ state: "running" });
	});

	test.concurrent("a block that an administrator holds is held, and can be cancelled", async () => {
		const block = await blocks.submit(blocks.spec(options("--begin=now+1hour")));
		await block.until({ state: "pending", reason: "BeginTime" });
		await slurm.command("scontrol", "hold", block.number);
		await block.until({ state: "held", reason: "JobHeldAdmin" });
		await blocks.scheduler.cancel([block.id], 5_000);
		await block.until({ state: "ended", end: "cancelled" });
	});

	test.concurrent("a block in a partition that is down is held, with the reason", async () => {
		const block = await blocks.submit(blocks.spec("partition: closed"));
		await block.until({ state: "held", reason: "PartitionDown" });
	});

	test.concurrent("a block that waits for its turn says when it is expected to start", async ({ expect }) => {
		const block = await blocks.submit(blocks.spec(options("--begin=now+1hour")));
		await block.until({ state: "pending", expectedStartMs: expect.any(Number) });
		const { expectedStartMs = 0 } = await block.status();
		expect(Math.abs(expectedStartMs - Date.now() - 3_600_000)).toBeLessThan(120_000);
	});

	test.concurrent("DEP-4: a block follows a job that was submitted outside, and ends if that one fails", async () => {
		const sleep = (seconds: string, status: string) =>
			slurm.command("sbatch", "--parsable", "--output=/dev/null", `--wrap=sleep ${seconds}; exit ${status}`);
		const [good, bad] = [(await sleep("2", "0")).trim(), (await sleep("2", "1")).trim()];
		const follows = await blocks.submit(blocks.spec(`depends_on_job: afterok:${good}`));
		const fails = await blocks.submit(blocks.spec(`depends_on_job: afterok:${bad}`));
		await follows.until({ state: "pending", reason: "Dependency" });
		await follows.until({ state: "running" });
		await fails.until({ state: "ended", end: "cancelled" });
	});

	test.concurrent("a dependency that can never be met holds a block for ever, and it is said", async () => {
		const bad = await slurm.command("sbatch", "--parsable", "--output=/dev/null", "--wrap=exit 1");
		const block = await blocks.submit(blocks.spec(options(`--dependency=afterok:${bad.trim()}`)));
		await block.until({ state: "held", reason: "DependencyNeverSatisfied" });
	});

	test.concurrent("a block that an administrator cancels has ended, and its manager was asked", async () => {
		const block = await blocks.submit(blocks.spec());
		await block.untilLog("up");
		await slurm.command("scancel", block.number);
		await block.until({ state: "ended", end: "cancelled", reason: "CANCELLED" });
		await block.untilLog("term");
	});

	test.concurrent("a block that is suspended is not running, and goes on when it is resumed", async () => {
		const block = await blocks.submit(blocks.spec());
		await block.untilLog("up");
		await slurm.command("scontrol", "suspend", block.number);
		await block.until({ state: "suspended" });
		await slurm.command("scontrol", "resume", block.number);
		await block.until({ state: "running" });
	});

	test.concurrent("a block that is started anew says how often, and its log keeps the first time", async ({
		expect,
	}) => {
		const block = await blocks.submit(blocks.spec(options("--requeue")));
		await block.untilLog("up");
		await slurm.command("scontrol", "requeue", block.number);
		await block.until({ state: "pending", restarts: 1 });
		// Within the second in which its first start was revoked, a node refuses the second one too.
		await slurm.command("scontrol", "update", `JobId=${block.number}`, "StartTime=now+2");
		await block.until({ state: "running", restarts: 1 });
		await block.untilLog(/^up \S+ 1 /m);
		expect(block.log).toMatch(/^up \S+ 0 /m);
	});

	test.concurrent("a block that a more important job pushes out was preempted", async () => {
		const node = slurm.nodes[2] as string;
		const block = await blocks.submit(
			blocks.spec(`partition: low\nmemory_per_node: 1500MiB\n${options(`--nodelist=${node}`)}`),
		);
		await block.untilLog("up");
		await slurm.command(
			"sbatch",
			"--partition=high",
			`--nodelist=${node}`,
			"--mem=1500M",
			"--output=/dev/null",
			"--wrap=sleep 1",
		);
		await block.until({ state: "ended", end: "preempted" });
	});

	test.concurrent("a controller that is down ends no job, not even when a list is empty and all is said to be well", async ({
		expect,
	}) => {
		await using scene = await open({ nodes: 1 });
		const { slurm, blocks } = scene;
		const block = await blocks.submit(blocks.spec());
		await block.untilLog("up");
		const bin = join(blocks.directory, "bin");
		await emptyQueue(slurm, bin);
		const other = new SlurmBlocks(slurm, { PATH: `${bin}:${process.env.PATH}` });
		await slurm.stopController();
		try {
			await expect(block.status()).rejects.toBeInstanceOf(SchedulerSilent);
			await expect(other.scheduler.listOurs()).resolves.toEqual(new Map());
			await expect(other.scheduler.poll([block.id])).rejects.toBeInstanceOf(SchedulerSilent);
		} finally {
			await slurm.startController();
			await other.close();
		}
		await block.until({ state: "running" });
	});

	test.concurrent("a job that the controller forgot has ended after a while, or when another one has got its number", async ({
		expect,
	}) => {
		await using scene = await open({ nodes: 1 });
		const { slurm, blocks } = scene;
		await slurm.keepMemory();
		const waits = options("--begin=now+1hour");
		const [first, second] = [await blocks.submit(blocks.spec(waits)), await blocks.submit(blocks.spec(waits))];
		await slurm.loseMemory();
		await first.until({ state: "unknown", reason: "Slurm does not show it yet" });
		const next = await blocks.submit(blocks.spec());
		expect(next.number).toBe(first.number);
		await first.until({ state: "ended", end: "vanished", reason: expect.stringMatching("to another job") });
		await blocks.scheduler.cancel([first.id], 1_000);
		await next.until({ state: "running" });
		await second.until({ state: "unknown" });
		blocks.nowMs += 60_001;
		await second.until({ state: "ended", end: "vanished", reason: "Slurm does not know it any more" });
	});

	test.concurrent("a job that is started anew while its first copy lives says so", async ({ expect }) => {
		await using scene = await open({ nodes: 1, network: true });
		const { slurm, blocks } = scene;
		const block = await blocks.submit(blocks.spec(options(`--requeue --nodelist=${slurm.nodes[0]}`)));
		await block.untilLog("up");
		const pid = Number(/^up \S+ \S+ (\d+)/m.exec(block.log)?.[1]);
		slurm.unplug(slurm.nodes[0] as string);
		await block.until({ state: "pending", restarts: 1 });
		expect(isAlive(pid)).toBe(true);
		slurm.plug(slurm.nodes[0] as string);
	});

	test.concurrent("a block whose node dies has ended by it, and the node is named", async ({ expect }) => {
		await using scene = await open({ nodes: 1, network: true });
		const { slurm, blocks } = scene;
		const node = slurm.nodes[0] as string;
		const block = await blocks.submit(blocks.spec(options(`--nodelist=${node}`)));
		await block.untilLog("up");
		await slurm.killNode(node);
		await block.until({
			state: "ended",
			end: "node-failure",
			reason: expect.stringMatching(`^NODE_FAIL.* on ${node}`),
		});
	});
});

/** What a site may put before squeue to spare its controller: the heading of the real one, no jobs, and all is well. */
async function emptyQueue(slurm: TestSlurm, bin: string): Promise<void> {
	const [heading] = (await slurm.command(...queueQuestion)).split("\n");
	mkdirSync(bin, { recursive: true });
	writeFileSync(join(bin, "squeue"), `#!/bin/sh\necho '${heading}'\n`, { mode: 0o755 });
}

/** A cluster for a test that breaks it. */
async function open(options: SlurmOptions) {
	const slurm = await startSlurm(options);
	const blocks = new SlurmBlocks(slurm);
	return {
		slurm,
		blocks,
		async [Symbol.asyncDispose]() {
			await blocks.close();
			await slurm.stop();
		},
	};
}
