/** The exact text that each scheduler is handed for a queue with every setting that it has a word for. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../config/config.ts";
import type { QueueConfig } from "../config/queue.ts";
import { silentLogger } from "../service/logger.ts";
import { openFluxScheduler } from "./flux/flux.ts";
import { openCondorScheduler } from "./htcondor/htcondor.ts";
import { openLsfScheduler } from "./lsf/lsf.ts";
import { openPbsScheduler } from "./pbs/pbs.ts";
import type { BlockSpec, Scheduler, SchedulerOptions } from "./scheduler.ts";
import { openTorqueScheduler } from "./torque/torque.ts";

const node = `
account: physics
walltime: "1:30:01"
cores_per_node: 64
memory_per_node: 256GiB
available_accelerators: ["0.0", "0.1", "1.0", "1.1"]
exclusive: true
worker_init: |
  module load gcc
  export OMP_NUM_THREADS=1
`;
const several = `${node}\nnodes_per_block: 4\ndepends_on_job: "afterok:77"`;

type Case = readonly [
	folder: string,
	name: string,
	open: (options: SchedulerOptions) => Scheduler,
	config: string,
	nodes: number,
];
const cases: readonly Case[] = [
	[
		"pbs",
		"several nodes of a queue",
		openPbsScheduler,
		`${several}\nqueue: prod\nselect_options: "system=polaris:ngpus=4"\nscheduler_options: "#PBS -l filesystems=home:eagle"`,
		4,
	],
	["pbs", "one shared node of a reservation", openPbsScheduler, "queue: prod\nreservation: R17\nexclusive: false", 1],
	[
		"torque",
		"several nodes of a queue",
		openTorqueScheduler,
		`${several}\nqueue: batch\nqos: high\nreservation: workshop\nconstraint: bigmem\nscheduler_options: "#PBS -M me@example.org"`,
		4,
	],
	[
		"lsf",
		"several nodes of a queue",
		openLsfScheduler,
		`${several}\nqueue: normal\nreservation: user1#0\nconstraint: "type == any && mem > 1000"\nscheduler_options: "#BSUB -G staff"`,
		4,
	],
	[
		"lsf",
		"whole nodes where jsrun starts programs",
		openLsfScheduler,
		`${several}\nlauncher: jsrun\nqueue: batch\nscheduler_options: '#BSUB -alloc_flags "smt4 nvme"'`,
		4,
	],
	[
		"htcondor",
		"a slot with everything",
		openCondorScheduler,
		`${node}\nconstraint: 'OpSysAndVer == "RedHat9"'\nscheduler_options: |\n  +ProjectName = "Errand"\n  getenv = HOME, PATH`,
		1,
	],
	[
		"flux",
		"several nodes of a queue",
		openFluxScheduler,
		`${several}\nqueue: pbatch\nconstraint: "-host:node7"\nscheduler_options: "# flux: --setattr=note=hello"`,
		4,
	],
	["flux", "several nodes with a launcher of the site", openFluxScheduler, "nodes_per_block: 2\nlauncher: mpiexec", 2],
];

describe("what a scheduler is handed", () => {
	test.each(cases)("%s: %s", async (folder, name, open, config, nodes) => {
		const scheduler = open({ directory: "/home/ada/.errand/site", log: silentLogger, commandTimeoutMs: 1_000 });
		const spec: BlockSpec = {
			blockId: "5ad2a1c0-0000-4000-8000-000000000001",
			jobName: "errand-site-5ad2a1c0",
			queue: parseConfig(`scheduler: ${folder}\n${config}`, "config.yaml", "/home/ada/.errand/site")
				.queues[0] as QueueConfig,
			command: ["/home/ada/errand/node", "/home/ada/errand/manager.mjs", "--slots", "a b"],
			environment: { ERRAND_BLOCK_TOKEN: "it's secret", ERRAND_LINK_ADDRESS: "login1:41000" },
			workerInit: config.includes("module load") ? "module load gcc\nexport OMP_NUM_THREADS=1\n" : "",
			nodes,
			logPath: "/home/ada/.errand/site/logs/a block.log",
		};
		const file = join(import.meta.dirname, folder, "golden", `${name.replaceAll(" ", "-")}.txt`);
		await expect(scheduler.script(spec)).toMatchFileSnapshot(file);
		scheduler.close();
	});
});
