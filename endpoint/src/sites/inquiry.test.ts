import type { SchedulerName } from "@errand/proto";
import { describe, expect, test } from "vitest";
import { type Ask, inquiries } from "./inquiry.ts";

/** Programs that print what is said here, and nothing else on the machine. */
const machine =
	(programs: Readonly<Record<string, string>>): Ask =>
	async (...argv) =>
		Object.entries(programs).find(([words]) => argv.join(" ").startsWith(words))?.[1];

async function found(programs: Readonly<Record<string, string>>) {
	for (const [scheduler, inquiry] of inquiries) {
		const facts = await inquiry(machine(programs), "ada");
		if (facts !== undefined) return { scheduler, ...facts };
	}
	return undefined;
}

const gibibyte = 2 ** 30;

describe("NEW-10: what a scheduler tells before anything is configured", () => {
	test("Slurm: partitions, accounts, and the commonest node of the default partition", async () => {
		expect(
			await found({
				sinfo: [
					"debug*|10|64|256000|gpu:a100:4(S:0-1)",
					"debug*|2|128|512000|(null)",
					"long|500|32|128000+|gpu:2,shard:8",
				].join("\n"),
				"sacctmgr --noheader --parsable2 show associations user=ada": "m1\nm2\nm1\n",
			}),
		).toMatchObject({
			scheduler: "slurm",
			queues: ["debug", "long"],
			accounts: ["m1", "m2"],
			node: { cores: 64, memoryBytes: 256000 * 2 ** 20, gpus: 4 },
		});
	});

	test("Slurm without accounting has no accounts, and is Slurm all the same", async () => {
		expect(await found({ sinfo: "all|1|8|2000|(null)\n" })).toEqual({
			scheduler: "slurm",
			queues: ["all"],
			accounts: [],
			parallelEnvironments: [],
			node: { cores: 8, memoryBytes: 2000 * 2 ** 20 },
		});
	});

	const queueTable = [
		"Queue              Max   Tot Ena Str   Que   Run   Hld   Wat   Trn   Ext Type",
		"---------------- ----- ----- --- --- ----- ----- ----- ----- ----- ----- ----",
		"debug                0     3 yes yes     1     2     0     0     0     0 Exec",
		"prod                 0    90 yes yes    80    10     0     0     0     0 Rout",
	].join("\n");

	test("PBS and Torque have the same programs, and are told apart by their versions", async () => {
		const pbsNodes =
			"x1\n     state = free\n     resources_available.mem = 527672492kb\n     resources_available.ncpus = 64\n     resources_available.ngpus = 4\n\n";
		expect(
			await found({
				"qstat --version": "pbs_version = 2022.1.1\n",
				"qstat -Q": queueTable,
				pbsnodes: pbsNodes.repeat(3),
			}),
		).toMatchObject({
			scheduler: "pbs",
			queues: ["debug", "prod"],
			node: { cores: 64, memoryBytes: 527672492 * 1024, gpus: 4 },
		});
		const torqueNodes = "n1\n     state = free\n     np = 16\n     status = rectime=1,ncpus=16,physmem=65843040kb\n\n";
		expect(
			await found({ "qstat --version": "Version: 6.1.2\nCommit: x\n", "qstat -Q": queueTable, pbsnodes: torqueNodes }),
		).toMatchObject({ scheduler: "torque", node: { cores: 16, memoryBytes: 65843040 * 1024 } });
	});

	test("Grid Engine: queues and parallel environments", async () => {
		const hosts = [
			"HOSTNAME                ARCH         NCPU NSOC NCOR NTHR  LOAD  MEMTOT  MEMUSE  SWAPTO  SWAPUS",
			"----------------------------------------------------------------------------------------------",
			"global                  -               -    -    -    -     -       -       -       -       -",
			"node1                   lx-amd64       12    1   12   12  0.10   62.5G    1.0G     0.0     0.0",
		].join("\n");
		expect(await found({ "qconf -sql": "all.q\nlong.q\n", "qconf -spl": "mpi\nsmp\n", qhost: hosts })).toMatchObject({
			scheduler: "gridengine",
			queues: ["all.q", "long.q"],
			parallelEnvironments: ["mpi", "smp"],
			node: { cores: 12, memoryBytes: 62.5 * gibibyte },
		});
	});

	test("LSF, HTCondor and Flux", async () => {
		expect(
			await found({
				bqueues: "QUEUE_NAME PRIO STATUS\nstandard 30 Open:Active\n",
				lshosts:
					"HOST_NAME type model cpuf ncpus maxmem maxswp server RESOURCES\nn1 X86_64 E5 15.0 12 128G 4G Yes ()\n",
			}),
		).toMatchObject({ scheduler: "lsf", queues: ["standard"], node: { cores: 12, memoryBytes: 128 * gibibyte } });
		expect(await found({ condor_status: "8 16000 undefined\n8 16000 undefined\n4 8000 1\n" })).toMatchObject({
			scheduler: "htcondor",
			node: { cores: 8, memoryBytes: 16000 * 2 ** 20 },
		});
		expect(await found({ "flux resource": "4 64 8\n", "flux queue": "batch\ndebug\n" })).toMatchObject({
			scheduler: "flux",
			queues: ["batch", "debug"],
			node: { cores: 16, gpus: 2 },
		});
	});

	test("garbage is not an answer that hurts", async () => {
		const garbage = "\u0000|||***\n\n- -\n";
		for (const [scheduler, inquiry] of inquiries satisfies readonly (readonly [SchedulerName, unknown])[]) {
			const facts = await inquiry(async () => garbage, "ada");
			expect(facts?.node.cores, scheduler).toBeUndefined();
		}
		expect(await found({})).toBeUndefined();
	});
});
