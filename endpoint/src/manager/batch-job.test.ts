import { describe, expect, test } from "vitest";
import { batchJobOf } from "./batch-job.ts";

const files: Readonly<Record<string, string>> = {
	"/pbs/nodes": "x1.hsn.site\nx1.hsn.site\nx2.hsn.site\n",
	"/sge/pe": "n1.site 4 all.q@n1 UNDEFINED\nn2.site 6 all.q@n2 UNDEFINED\n",
};
const read = (path: string): string => files[path] ?? "";

describe("what the scheduler says of the job that a manager runs in", () => {
	const jobs: [string, Record<string, string>, string, object][] = [
		[
			"Slurm",
			{
				SLURM_JOB_ID: "71",
				SLURM_CPUS_ON_NODE: "8",
				SLURM_MEM_PER_NODE: "2000",
				SLURM_JOB_GPUS: "2,3",
				CUDA_VISIBLE_DEVICES: "0,1",
				SLURM_RESTART_COUNT: "2",
				SLURM_JOB_END_TIME: "1790000000",
				SLURMD_NODENAME: "n1",
			},
			"vm",
			{
				system: "slurm",
				id: "71",
				host: "n1",
				cores: 8,
				memoryBytes: 2000 * 1024 * 1024,
				gpuIds: ["0", "1"],
				restarts: 2,
				endsAtMs: 1_790_000_000_000,
			},
		],
		[
			"Slurm, memory by processor, all of it, no devices",
			{ SLURM_JOB_ID: "1", SLURM_CPUS_ON_NODE: "4", SLURM_MEM_PER_CPU: "50", CUDA_VISIBLE_DEVICES: "NoDevFiles" },
			"vm",
			{ cores: 4, memoryBytes: 200 * 1024 * 1024, gpuIds: [], restarts: 0 },
		],
		[
			"Slurm, the whole node's memory",
			{ SLURM_JOB_ID: "1", SLURM_MEM_PER_NODE: "0" },
			"vm",
			{ memoryBytes: undefined },
		],
		[
			"PBS",
			{ PBS_JOBID: "12.srv", NCPUS: "64", PBS_NODEFILE: "/pbs/nodes", CUDA_VISIBLE_DEVICES: "GPU-a,GPU-b" },
			"x2",
			{ system: "pbs", id: "12.srv", host: "x2.hsn.site", cores: 64, gpuIds: ["GPU-a", "GPU-b"] },
		],
		["Torque", { PBS_JOBID: "7.srv", PBS_NUM_PPN: "12" }, "x9", { id: "7.srv", host: "x9", cores: 12 }],
		[
			"LSF, one host of two",
			{ LSB_JOBID: "5", LSB_MCPU_HOSTS: "a1 8 b1 4", LSB_DJOB_NUMPROC: "12", LSB_RESTART: "Y" },
			"b1.site",
			{ system: "lsf", id: "5", cores: 4, restarts: 1 },
		],
		[
			"Grid Engine, one host of two",
			{ JOB_ID: "9", SGE_ROOT: "/sge", PE_HOSTFILE: "/sge/pe", NHOSTS: "2", NSLOTS: "10", RESTARTED: "0" },
			"n2",
			{ system: "gridengine", id: "9", host: "n2.site", cores: 6, restarts: 0 },
		],
		["Grid Engine, slots", { JOB_ID: "9", SGE_ROOT: "/sge", NHOSTS: "1", NSLOTS: "3" }, "n2", { cores: 3 }],
		["Flux in Slurm", { FLUX_JOB_ID: "f2", SLURM_JOB_ID: "1" }, "n1", { system: "flux", id: "f2" }],
	];

	test.each(jobs)("%s", (_, environment, host, expected) => {
		expect(batchJobOf(environment, host, read)).toMatchObject(expected);
	});

	test("a shell that happens to have JOB_ID, and one that has nothing, are in no job", () => {
		expect(batchJobOf({ JOB_ID: "build-17", CUDA_VISIBLE_DEVICES: "0" }, "vm", read)).toBeUndefined();
		expect(batchJobOf({}, "vm", read)).toBeUndefined();
	});
});
