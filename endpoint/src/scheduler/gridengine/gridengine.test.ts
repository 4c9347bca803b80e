import { chmodSync } from "node:fs";
import { afterAll, beforeAll, describe, vi } from "vitest";
import { startGridEngine, type TestGridEngine } from "../../../../test/harness/gridengine.ts";
import { silentLogger } from "../../service/logger.ts";
import { schedulerContract } from "../scheduler.contract.ts";
import type { Scheduler } from "../scheduler.ts";
import { openGridEngineScheduler } from "./gridengine.ts";

let cell: TestGridEngine;
beforeAll(async () => {
	cell = await startGridEngine();
	for (const [name, value] of Object.entries(cell.environment)) vi.stubEnv(name, value);
});
afterAll(async () => {
	vi.unstubAllEnvs();
	await cell.stop();
});

function openIn(directory: string): Scheduler {
	chmodSync(directory, 0o755);
	cell.give(directory);
	return openGridEngineScheduler({ directory, commandTimeoutMs: 20_000, log: silentLogger, user: cell.user.name });
}

describe("Grid Engine", () => {
	schedulerContract(openIn, {
		config: "walltime: 5m",
		limitMs: 20_000,
		strangeJob: "98765",
		asksToEnd: false,
		refused: { config: "queue: nosuch.q", words: /unknown queue "nosuch\.q"/ },
		silence: { begin: () => cell.killMaster(), end: () => cell.startMaster() },
	});
});
