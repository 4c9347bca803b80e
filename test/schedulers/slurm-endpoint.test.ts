import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Client, Executor } from "@errand/sdk";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { closeAfterEach } from "../harness/closing.ts";
import { TestCloud } from "../harness/cloud.ts";
import { TestEndpoint } from "../harness/endpoint.ts";
import { startSlurm, type TestSlurm } from "../harness/slurm.ts";

const config = `
scheduler: slurm
nodes_per_block: 2
walltime: 10m
exclusive: false
workers_per_node: 2
cores_per_node: 2
memory_per_node: 1500MiB
init_blocks: 0
max_blocks: 1
idle_timeout: 2s
poll_interval: 1s
command_timeout: 8s
`;
const patient = { timeout: 60_000, interval: 100 };

describe("an endpoint on a real Slurm", { timeout: 120_000 }, () => {
	let cloud: TestCloud;
	let slurm: TestSlurm;
	let client: Client;
	const closeLater = closeAfterEach();

	beforeAll(async () => {
		[cloud, slurm] = await Promise.all([TestCloud.start(), startSlurm()]);
		({ client } = await cloud.login("ada"));
	});
	afterAll(async () => {
		await cloud?.stop();
		await slurm?.stop();
	});

	/** Numbers of all jobs that the endpoint ever had, and of those that have not ended. */
	async function jobsOf(endpoint: TestEndpoint, on = slurm, ...states: string[]): Promise<string[]> {
		const lines = await on.command("squeue", "--noheader", `--format=%i %Z`, ...states);
		return lines.split("\n").flatMap((line) => {
			const [number = "", directory] = line.split(" ");
			return directory === endpoint.directory ? [number] : [];
		});
	}
	const everyJobOf = (endpoint: TestEndpoint) => jobsOf(endpoint, slurm, "--states=all");

	/** An endpoint whose sbatch, when the file `hang` is there, submits and then neither answers nor ends. */
	async function open(name: string, more = "", on = slurm) {
		const bin = join(cloud.home, "bin", name);
		const at = (file: string) => join(bin, file);
		mkdirSync(bin, { recursive: true });
		const sbatch = (await slurm.command("sh", "-c", "command -v sbatch")).trim();
		writeFileSync(
			at("sbatch"),
			`#!/bin/sh
[ -e ${at("hang")} ] || exec ${sbatch} "$@"
rm ${at("hang")}
${sbatch} "$@" > ${at("submitted.new")} && mv ${at("submitted.new")} ${at("submitted")}
echo $$ > ${at("pid")}
exec sleep 1000
`,
			{ mode: 0o755 },
		);
		const endpoint = await TestEndpoint.start(cloud, client, {
			name,
			config: `${config}${more}`,
			environment: { ...on.environment, PATH: `${bin}:${process.env.PATH}` },
		});
		const executor = new Executor({ endpoint: name, client });
		closeLater(async () => {
			await executor.close();
			await endpoint.stop();
			// NEW-9: nothing is left of it, neither in the queue nor on the nodes.
			expect(await jobsOf(endpoint, on)).toEqual([]);
			await vi.waitFor(() => expect(endpoint.processesLeft()).toEqual([]), patient);
		});
		return { endpoint, executor, at };
	}

	/** Says where it runs, and ends when it may. */
	async function hold(
		directory: string,
		index: number,
	): Promise<{ node: string | undefined; job: string | undefined }> {
		const fs = process.getBuiltinModule("node:fs");
		fs.appendFileSync(`${directory}/running-${index}`, "x");
		while (!fs.existsSync(`${directory}/end`)) await new Promise((resolve) => setTimeout(resolve, 20));
		return { node: process.env.SLURMD_NODENAME, job: process.env.SLURM_JOB_ID };
	}
	function place(name: string) {
		const directory = join(cloud.home, name);
		mkdirSync(directory);
		const running = () => readdirSync(directory).filter((file) => file.startsWith("running-"));
		return {
			directory,
			end: () => writeFileSync(join(directory, "end"), ""),
			started: (count: number) => vi.waitFor(() => expect(running()).toHaveLength(count), patient),
			/** How often each has run. */
			times: () => running().map((file) => readFileSync(join(directory, file), "utf8").length),
		};
	}

	test("tasks run on all nodes of a block, which is asked for when they come and given back when it is idle", async () => {
		const { endpoint, executor } = await open("blocks");
		expect(await everyJobOf(endpoint)).toEqual([]);
		const at = place("both-nodes");
		const tasks = Array.from({ length: 4 }, (_, n) => executor.submit(hold, at.directory, n));
		await at.started(4);
		at.end();
		const ran = await Promise.all(tasks);
		expect(new Set(ran.map(({ node }) => node)).size).toBe(2);
		const [job] = await everyJobOf(endpoint);
		expect(new Set(ran.map(({ job }) => job))).toEqual(new Set([job]));
		await vi.waitFor(async () => expect(await jobsOf(endpoint)).toEqual([]), patient);
		expect(await executor.submit(() => 7)).toBe(7);
		expect(await everyJobOf(endpoint)).toHaveLength(2);
	});

	test("NEW-7: a daemon that is killed finds its block again, whose tasks go on and run once", async () => {
		const { endpoint, executor } = await open("killed");
		const at = place("killed-daemon");
		const tasks = Array.from({ length: 4 }, (_, n) => executor.submit(hold, at.directory, n));
		await at.started(4);
		await endpoint.kill();
		await endpoint.start();
		at.end();
		await Promise.all(tasks);
		expect(at.times()).toEqual([1, 1, 1, 1]);
		expect(await everyJobOf(endpoint)).toHaveLength(1);
	});

	test("NEW-7: a daemon that is killed after the submit and before it heard of it has one block, not two", async () => {
		const { endpoint, executor, at } = await open("unheard");
		writeFileSync(at("hang"), "");
		const task = executor.submit(() => 42);
		await vi.waitFor(() => expect(existsSync(at("submitted")) && existsSync(at("pid"))).toBe(true), patient);
		await endpoint.kill();
		process.kill(Number(readFileSync(at("pid"), "utf8")), "SIGKILL");
		await endpoint.start();
		expect(await task).toBe(42);
		expect(await everyJobOf(endpoint)).toHaveLength(1);
	});

	test("a controller that takes the job and does not answer makes no second block", async () => {
		const { endpoint, executor } = await open("timeout");
		slurm.pauseController();
		const task = executor.submit(() => 43);
		try {
			await endpoint.process.line("is there a job?");
		} finally {
			await slurm.resumeController();
		}
		expect(await task).toBe(43);
		expect(await everyJobOf(endpoint)).toHaveLength(1);
	});

	test("an endpoint that is stopped while a block waits leaves none", async () => {
		const { endpoint, executor } = await open(
			"stopped",
			'stop_grace: 0s\nscheduler_options: "#SBATCH --begin=now+1hour"\n',
		);
		const task = executor.submit(() => 44);
		task.catch(() => undefined);
		await vi.waitFor(async () => expect(await jobsOf(endpoint)).toHaveLength(1), patient);
	});

	test("a node that is cut off while its job is started anew elsewhere: the first copy is shut out, its task runs to one result", async () => {
		const apart = await startSlurm({ nodes: 2, network: true });
		closeLater(() => apart.stop());
		const own = `
queues:
  - name: apart
    nodes_per_block: 1
    scheduler_options: "#SBATCH --requeue"
`;
		const { endpoint, executor } = await open("apart", own, apart);
		const at = place("cut-off");
		const task = executor.submit(hold, at.directory, 0);
		await at.started(1);
		const [job = ""] = await jobsOf(endpoint, apart);
		const first = (await apart.command("squeue", "--noheader", "--format=%N", `--jobs=${job}`)).trim();
		apart.unplug(first);
		const state = () => apart.command("squeue", "--noheader", "--states=all", "--format=%T", `--jobs=${job}`);
		await vi.waitFor(async () => expect((await state()).trim()).toBe("PENDING"), patient);
		await apart.command("scontrol", "update", `JobId=${job}`, "StartTime=now+2");
		// It runs once more, in the manager of the second attempt, while the first copy waits on the node that is cut off.
		await vi.waitFor(() => expect(at.times()).toEqual([2]), patient);
		apart.plug(first);
		at.end();
		const { node, job: ranIn } = await task;
		expect(node).not.toBe(first);
		expect(ranIn).toBe(job);
		expect(at.times()).toEqual([2]);
		expect(endpoint.process.output).toContain("blocks: managers are shut out");
	});
});
