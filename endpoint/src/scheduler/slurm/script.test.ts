import { describe, expect, test } from "vitest";
import { parseConfig } from "../../config/config.ts";
import { parseMark } from "../job-mark.ts";
import { type BlockSpec, SubmitRejected } from "../scheduler.ts";
import { isJob, jobIdOf, slurmScript } from "./script.ts";

const directory = "/home/ada/.errand/endpoints/hpc";
const blockId = "0192f0c1-1111-7000-8000-0123456789ab";

function specOf(config: string, more: Partial<BlockSpec> = {}): BlockSpec {
	const queue = parseConfig(`scheduler: slurm\n${config}`, "config.yaml", directory).queues[0];
	if (queue === undefined) throw new Error("no queue");
	return {
		blockId,
		jobName: "errand-hpc-456789ab",
		queue,
		command: ["/opt/node", "/opt/manager.mjs"],
		environment: { ERRAND_BLOCK_TOKEN: "s3cret" },
		workerInit: "module load python",
		nodes: queue.nodesPerBlock,
		logPath: "/home/ada/100%/block.log",
		...more,
	};
}
const header = (config: string): string[] =>
	slurmScript(specOf(config), directory)
		.split("\n")
		.filter((line) => line.startsWith("#SBATCH"))
		.map((line) => line.replace("#SBATCH --", ""));

describe("a batch script for Slurm", () => {
	test("asks for what the settings say", () => {
		const lines = header(`
account: physics
partition: gpu
qos: debug
constraint: "a100&ib"
reservation: maintenance week
nodes_per_block: 4
walltime: 36h
available_accelerators: 4
depends_on_job: "1234"
`);
		expect(lines).toEqual([
			"account=physics",
			"partition=gpu",
			"qos=debug",
			'constraint="a100&ib"',
			'reservation="maintenance week"',
			"nodes=4",
			"ntasks-per-node=1",
			"exclusive",
			"mem=0",
			"gres=gpu:4",
			"time=36:00:00",
			"dependency=afterany:1234",
			"kill-on-invalid-dep=yes",
			"no-kill",
			"no-requeue",
			`chdir=${directory}`,
			"output=/home/ada/100%%/block.log",
			"open-mode=append",
			"job-name=errand-hpc-456789ab",
			expect.stringMatching(`^comment=errand\\.[0-9a-f]{16}\\.${blockId}$`),
		]);
	});

	test("asks for a part of a node where nodes are shared", () => {
		const lines = header("exclusive: false\ncores_per_node: 16\nmemory_per_node: 64GB");
		expect(lines).toContain("cpus-per-task=16");
		expect(lines).toContain("mem=61036M");
		expect(lines).not.toContain("exclusive");
	});

	test("what the user's own lines ask for is not asked for again, and only the marks come after them", () => {
		const lines = header(
			'available_accelerators: 4\nscheduler_options: |\n  #SBATCH --gpus-per-node=a100:4\n  #SBATCH --mem-per-cpu=2G\n  #SBATCH --comment="project 7" --job-name=mine\n',
		);
		expect(lines.join()).not.toMatch(/gres=|mem=0/);
		expect(lines.slice(-5, -2)).toEqual([
			"gpus-per-node=a100:4",
			"mem-per-cpu=2G",
			'comment="project 7" --job-name=mine',
		]);
		expect(lines.at(-2)).toBe("job-name=errand-hpc-456789ab");
		expect(lines.at(-1)).toMatch(/^comment="errand\.\S+ project 7"$/);
	});

	test("a block of one node takes the script's place, one of several is started by srun", () => {
		expect(slurmScript(specOf(""), directory)).toMatch(/\nexec \/opt\/node \/opt\/manager.mjs\n$/);
		expect(slurmScript(specOf("nodes_per_block: 2"), directory)).toMatch(/\nsrun --nodes=2 /);
	});

	test.each([
		["select_options: ngpus=4", /select_options is for PBS/],
		["parallel_environment: mpi", /parallel_environment is for Grid Engine/],
		['scheduler_options: "#SBATCH --array=0-9"', /one job of one cluster/],
		['scheduler_options: "#SBATCH -M other"', /one job of one cluster/],
	])("%s is refused before Slurm is asked", (config, words) => {
		expect(() => slurmScript(specOf(config), directory)).toThrow(SubmitRejected);
		expect(() => slurmScript(specOf(config), directory)).toThrow(words);
	});

	test("a value with a line break is refused even where the configuration let it through", () => {
		const spec = specOf("");
		const evil = { ...spec, queue: { ...spec.queue, account: "x\ntouch /tmp/x" } };
		expect(() => slurmScript(evil, directory)).toThrow(SubmitRejected);
	});

	test("a job is known again by its mark, by its name where a site writes its own comments, and never by its number alone", () => {
		const id = jobIdOf("77", blockId);
		const mark = /comment=(\S+)/.exec(slurmScript(specOf(""), directory))?.[1] ?? "";
		expect(parseMark(mark)?.blockId).toBe(blockId);
		expect(isJob({ name: "anything", comment: mark }, id)).toBe(true);
		expect(isJob({ name: "errand-hpc-456789ab", comment: "charged to physics" }, id)).toBe(true);
		expect(isJob({ name: "errand-hpc-456789ab", comment: mark.replace("6789ab", "000000") }, id)).toBe(false);
		expect(isJob({ name: "somebody-else", comment: "" }, id)).toBe(false);
	});
});
