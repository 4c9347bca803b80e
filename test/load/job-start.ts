/** From the start of a batch job on a real Slurm to the start of the first task in it: manager, connection, worker. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Executor } from "@errand/sdk";
import { TestCloud } from "../harness/cloud.ts";
import { TestEndpoint } from "../harness/endpoint.ts";
import { startSlurm } from "../harness/slurm.ts";

const rounds = 5;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Milliseconds of each round; every round has a block of its own. */
export async function measureJobStart(): Promise<number[]> {
	const cloud = await TestCloud.start();
	const slurm = await startSlurm();
	const started = join(cloud.home, "started");
	try {
		const { client } = await cloud.login("ada");
		const endpoint = await TestEndpoint.start(cloud, client, {
			config:
				"scheduler: slurm\nexclusive: false\ncores_per_node: 2\nmemory_per_node: 1500MiB\ninit_blocks: 0\n" +
				`idle_timeout: 1s\npoll_interval: 1s\nworker_init: date +%s%N > '${started}'\n`,
			environment: slurm.environment,
		});
		await using executor = new Executor({ endpoint: "local", client });
		const tookMs: number[] = [];
		for (let round = 0; round < rounds; round++) {
			const begunMs = await executor.submit(() => Date.now());
			tookMs.push(begunMs - Number(readFileSync(started, "utf8")) / 1e6);
			rmSync(started);
			while ((await slurm.command("squeue", "--noheader")).trim() !== "") await pause(200);
		}
		await endpoint.stop();
		return tookMs;
	} finally {
		await cloud.stop();
		await slurm.stop();
	}
}
