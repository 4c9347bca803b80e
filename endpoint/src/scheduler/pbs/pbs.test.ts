import { afterAll, beforeAll, beforeEach, describe } from "vitest";
import { silentLogger } from "../../service/logger.ts";
import { FakeBatchSystem } from "../fake-batch-system.test-harness.ts";
import { schedulerContract } from "../scheduler.contract.ts";
import { fakePbsPrograms, pbsDown } from "./fake-pbs.test-harness.ts";
import { openPbsScheduler } from "./pbs.ts";

const site = { history: true };
let system: FakeBatchSystem;
beforeAll(async () => {
	system = await FakeBatchSystem.start(fakePbsPrograms(site));
});
beforeEach(() => {
	system.reset();
	site.history = true;
});
afterAll(() => system.stop());

const open = (directory: string) => openPbsScheduler({ directory, log: silentLogger, commandTimeoutMs: 2_000 });

describe("PBS", () => {
	schedulerContract(open, {
		strangeJob: "999999.pbs.example.org",
		refused: { config: "queue: nosuch", words: /Unknown queue/ },
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
