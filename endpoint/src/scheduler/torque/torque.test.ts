import { afterAll, beforeAll, beforeEach, describe } from "vitest";
import { silentLogger } from "../../service/logger.ts";
import { FakeBatchSystem } from "../fake-batch-system.test-harness.ts";
import { fakeTorquePrograms, pbsDown } from "../pbs/fake-pbs.test-harness.ts";
import { schedulerContract } from "../scheduler.contract.ts";
import { openTorqueScheduler } from "./torque.ts";

let system: FakeBatchSystem;
beforeAll(async () => {
	system = await FakeBatchSystem.start(fakeTorquePrograms);
});
beforeEach(() => system.reset());
afterAll(() => system.stop());

const open = (directory: string) => openTorqueScheduler({ directory, log: silentLogger, commandTimeoutMs: 2_000 });

describe("Torque", () => {
	schedulerContract(open, {
		strangeJob: "999999.pbs.example.org",
		refused: { config: "account: broke", words: /has no hours/ },
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
