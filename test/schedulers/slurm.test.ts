import { afterAll, beforeAll, describe } from "vitest";
import { schedulerContract } from "../../endpoint/src/scheduler/scheduler.contract.ts";
import { openSlurmScheduler } from "../../endpoint/src/scheduler/slurm/slurm.ts";
import { silentLogger } from "../../endpoint/src/service/logger.ts";
import { startSlurm, type TestSlurm, tracksByControlGroup } from "../harness/slurm.ts";

describe("Slurm", () => {
	let slurm: TestSlurm;
	beforeAll(async () => {
		slurm = await startSlurm();
	});
	afterAll(() => slurm.stop());

	schedulerContract(
		(directory) =>
			openSlurmScheduler({ directory, commandTimeoutMs: 2_000, log: silentLogger, environment: slurm.environment }),
		{
			config: "walltime: 5m\nexclusive: false",
			limitMs: 20_000,
			endsStrays: tracksByControlGroup,
			refused: { config: "partition: nosuch", words: /invalid partition specified: nosuch/ },
			silence: { begin: () => slurm.pauseController(), end: () => slurm.resumeController() },
		},
	);
});
