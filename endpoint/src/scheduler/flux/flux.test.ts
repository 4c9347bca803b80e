import { afterAll, beforeAll, beforeEach, describe } from "vitest";
import { silentLogger } from "../../service/logger.ts";
import { FakeBatchSystem } from "../fake-batch-system.test-harness.ts";
import { schedulerContract } from "../scheduler.contract.ts";
import { fakeFluxPrograms, fluxDown } from "./fake-flux.test-harness.ts";
import { openFluxScheduler } from "./flux.ts";

let system: FakeBatchSystem;
beforeAll(async () => {
	system = await FakeBatchSystem.start(fakeFluxPrograms);
});
beforeEach(() => system.reset());
afterAll(() => system.stop());

const open = (directory: string) => openFluxScheduler({ directory, log: silentLogger, commandTimeoutMs: 2_000 });

describe("Flux", () => {
	schedulerContract(open, {
		strangeJob: "fABC",
		refused: { config: "queue: nosuch", words: /Invalid queue nosuch/ },
		silence: {
			begin: () => {
				system.down = fluxDown;
			},
			end: () => {
				system.down = undefined;
			},
		},
	});
});
