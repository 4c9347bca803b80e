/** NEW-10 on a real cluster: what configure finds there, what doctor says, and canaries that fly or do not. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { parse } from "yaml";
import { TestCloud } from "../harness/cloud.ts";
import { CommandLine } from "../harness/command-line.ts";
import { startSlurm, type TestSlurm } from "../harness/slurm.ts";

// Every test starts several programs; on a busy machine that takes a while.
vi.setConfig({ testTimeout: 120_000 });

interface Report {
	checks: { name: string; state: string; says: string; next?: string }[];
}

let cloud: TestCloud;
let slurm: TestSlurm;
let commands: CommandLine;
beforeAll(async () => {
	[cloud, slurm] = await Promise.all([TestCloud.start(), startSlurm({ nodes: 2 })]);
	commands = await CommandLine.open(cloud, "ada", { environment: slurm.environment });
});
afterAll(async () => {
	await commands?.close();
	await cloud?.stop();
	await slurm?.stop();
});

const configOf = (name: string): string => join(commands.home, "endpoints", name, "config.yaml");
async function doctor(
	...words: string[]
): Promise<{ code: number; stderr: string; of: (name: string) => Report["checks"][number] }> {
	const { code, stdout, stderr } = await commands.run("endpoint", "doctor", ...words, "--json");
	const { checks } = JSON.parse(stdout) as Report;
	return {
		code,
		stderr,
		of(name) {
			const found = checks.find((check) => check.name === name);
			if (found === undefined) throw new Error(`no check "${name}" in ${stdout}`);
			return found;
		},
	};
}

test("NEW-10: configure asks the scheduler that answers here, and doctor flies a canary through it", async () => {
	const { stderr } = await commands.run("endpoint", "configure", "cluster", "--set", "cores_per_node=2");
	expect(stderr).toContain("slurm answers on this machine: queues debug, long");
	expect(parse(readFileSync(configOf("cluster"), "utf8"))).toMatchObject({
		scheduler: "slurm",
		queue: "debug",
		cores_per_node: 2,
		memory_per_node: "2000MiB",
		available_accelerators: 2,
		init_blocks: 0,
	});
	const { code, of, stderr: told } = await doctor("cluster", "--canary");
	expect(of("canary"), told).toMatchObject({ state: "ok" });
	expect(of("canary").says).toMatch(/a manager came back from .* and ran a command and a Python function \(Python 3/);
	for (const name of ["config.yaml", "scheduler", "launcher", "python", "clock", "cloud", "key", "broker"])
		expect(of(name)).toMatchObject({ state: "ok" });
	expect(of("scheduler").says).toMatch(/slurm answers .* 0 jobs of this endpoint/);
	expect(of("broker").says).toContain("takes this endpoint's credentials");
	expect(told).toMatch(/canary: submitted as \d+/);
	expect(code).toBe(0);
	expect(await slurm.command("squeue", "--noheader")).toBe("");
	expect(slurm.processesLeft()).toEqual([]);
});

test("the endpoint called local is this machine, whatever scheduler answers, and its canary flies, too", async () => {
	await commands.expect("endpoint", "configure", "local");
	expect(readFileSync(configOf("local"), "utf8")).toContain("scheduler: local\n");
	const { of, stderr } = await doctor("local", "--canary");
	expect(of("canary"), stderr).toMatchObject({ state: "ok" });
	expect(existsSync(join(commands.home, "endpoints", "local", "canary"))).toBe(false);
});

test("NEW-10: a canary that the scheduler refuses is told in the scheduler's words, with what to change", async () => {
	await commands.expect("endpoint", "configure", "wrong", "--scheduler", "slurm", "--queue", "nowhere");
	const { code, of } = await doctor("wrong", "--canary");
	expect(of("canary")).toMatchObject({
		state: "fault",
		says: expect.stringContaining("invalid partition specified: nowhere"),
		next: expect.stringContaining("account, queue, walltime or scheduler_options in config.yaml"),
	});
	expect(code).toBe(1);
});

test("NEW-10: a job that ends before its manager comes back is told with what it wrote", async () => {
	const config = readFileSync(configOf("cluster"), "utf8");
	writeFileSync(configOf("cluster"), `${config}\nworker_init: |\n  echo no module named physics >&2\n  exit 3\n`);
	const { code, of } = await doctor("cluster", "--canary");
	expect(of("canary")).toMatchObject({ state: "fault", next: expect.stringContaining("worker_init") });
	expect(of("canary").says).toMatch(/ended .*before its manager had come back.*\nno module named physics/);
	expect(of("python")).toMatchObject({ state: "warning" });
	expect(code).toBe(1);
	writeFileSync(configOf("cluster"), config);
});

test("NEW-10: a canary that the scheduler holds says why, and is cancelled", async () => {
	await commands.expect("endpoint", "configure", "closed", "--scheduler", "slurm", "--queue", "closed");
	const { code, of } = await doctor("closed", "--canary", "--timeout", "1s");
	expect(of("canary")).toMatchObject({ state: "fault", says: expect.stringMatching(/is held: .*PartitionDown/) });
	expect(code).toBe(1);
	expect(await slurm.command("squeue", "--noheader")).toBe("");
});

test("NEW-10: a scheduler that does not answer is a fault, with what to look at", async () => {
	slurm.pauseController();
	try {
		writeFileSync(configOf("wrong"), "scheduler: slurm\ncommand_timeout: 1s\n");
		const { code, of } = await doctor("wrong");
		expect(of("scheduler")).toMatchObject({
			state: "fault",
			says: expect.stringContaining("did not answer"),
			next: expect.stringContaining("login node"),
		});
		expect(code).toBe(1);
	} finally {
		await slurm.resumeController();
	}
});
