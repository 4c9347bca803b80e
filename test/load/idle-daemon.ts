/** What a daemon costs that has nothing to do: its blocks run, its scheduler is asked as always, nobody sends a task. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "@errand/proto";
import { ScriptedScheduler } from "../../endpoint/src/blocks/scripted-scheduler.test-harness.ts";
import { parseConfig } from "../../endpoint/src/config/config.ts";
import { FakeCloud } from "../../endpoint/src/service/daemon.test-harness.ts";
import { openDaemon } from "../../endpoint/src/service/daemon.ts";
import { silentLogger } from "../../endpoint/src/service/logger.ts";

const blocks = 20;
const settleMs = 1_000;
const measureMs = 20_000;

/** Percent of one core, of this process: run it while nothing else does. */
export async function measureIdleDaemon(): Promise<number> {
	const home = mkdtempSync(join(tmpdir(), "errand-idle-"));
	const directory = join(home, "idle");
	mkdirSync(directory);
	const scheduler = new ScriptedScheduler(Date.now);
	scheduler.first = { state: "running", reason: "" };
	const cloud = new FakeCloud();
	const settings = `scheduler: slurm\nlink_host: 127.0.0.1\npoll_interval: 10s\nmin_blocks: ${blocks}\nmax_blocks: ${blocks}`;
	const daemon = await openDaemon({
		directory,
		endpointId: newId(),
		config: parseConfig(settings, "config.yaml", directory),
		version: "0.0.0",
		cloud: cloud.client,
		scheduler,
		managerProgram: "/nowhere/manager.mjs",
		log: silentLogger,
		connect: cloud.connect,
	});
	try {
		// The last of them is submitted two seconds after the one before it.
		while (scheduler.living.length < blocks) await pause(settleMs);
		await pause(settleMs);
		const before = process.cpuUsage();
		const startedMs = performance.now();
		await pause(measureMs);
		const { user, system } = process.cpuUsage(before);
		return ((user + system) / 1000 / (performance.now() - startedMs)) * 100;
	} finally {
		await daemon.stop({ hurry: true });
		rmSync(home, { recursive: true, force: true });
	}
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
