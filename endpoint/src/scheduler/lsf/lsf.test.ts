import { afterAll, beforeAll, beforeEach, describe } from "vitest";
import { silentLogger } from "../../service/logger.ts";
import { FakeBatchSystem } from "../fake-batch-system.test-harness.ts";
import { schedulerContract } from "../scheduler.contract.ts";
import { fakeLsfPrograms, lsfDown } from "./fake-lsf.test-harness.ts";
import { openLsfScheduler } from "./lsf.ts";

let system: FakeBatchSystem;
beforeAll(async () => {
	system = await FakeBatchSystem.start(fakeLsfPrograms);
});
beforeEach(() => system.reset());
afterAll(() => system.stop());

const open = (directory: string) => openLsfScheduler({ directory, log: silentLogger, commandTimeoutMs: 2_000 });

describe("LSF", () => {
	schedulerContract(open, {
		strangeJob: "999999",
		refused: { config: "queue: nosuch", words: /No such queue/ },
		silence: {
			begin: () => {
				system.down = lsfDown;
			},
			end: () => {
				system.down = undefined;
			},
		},
	});
});
