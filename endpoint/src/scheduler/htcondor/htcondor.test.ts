import { afterAll, beforeAll, beforeEach, describe } from "vitest";
import { silentLogger } from "../../service/logger.ts";
import { FakeBatchSystem } from "../fake-batch-system.test-harness.ts";
import { schedulerContract } from "../scheduler.contract.ts";
import { condorDown, fakeCondorPrograms } from "./fake-condor.test-harness.ts";
import { openCondorScheduler } from "./htcondor.ts";

let system: FakeBatchSystem;
beforeAll(async () => {
	system = await FakeBatchSystem.start(fakeCondorPrograms);
});
beforeEach(() => system.reset());
afterAll(() => system.stop());

const open = (directory: string) => openCondorScheduler({ directory, log: silentLogger, commandTimeoutMs: 2_000 });

describe("HTCondor", () => {
	schedulerContract(open, {
		strangeJob: "999999.0",
		refused: { config: "account: group_broke", words: /Invalid accounting group/ },
		silence: {
			begin: () => {
				system.down = condorDown;
			},
			end: () => {
				system.down = undefined;
			},
		},
	});
});
