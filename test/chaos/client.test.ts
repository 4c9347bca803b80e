import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Executor } from "@errand/sdk";
import { expect, test } from "vitest";
import { closeAfterEach } from "../harness/closing.ts";
import { TestCloud } from "../harness/cloud.ts";
import { TestEndpoint } from "../harness/endpoint.ts";
import { LoggedProcess } from "../harness/process.ts";
import { readRecord } from "../harness/workload.ts";

const program = fileURLToPath(new URL("../harness/submitting-client.ts", import.meta.url));
const count = 1_000;

const closeLater = closeAfterEach();

test("NEW-7, GC-1: a client is killed, and another gets all its results, each once", { timeout: 180_000 }, async () => {
	const cloud = await TestCloud.start();
	closeLater(() => cloud.stop());
	const { client, token } = await cloud.login("ada");
	const endpoint = await TestEndpoint.start(cloud, client, { config: "workers_per_node: 2\n" });
	closeLater(() => endpoint.stop());
	const record = join(cloud.home, "record");

	const first = new LoggedProcess("client", process.execPath, [program, record, String(count)], {
		PATH: process.env.PATH,
		ERRAND_CLOUD_URL: cloud.url,
		ERRAND_TOKEN: token,
	});
	closeLater(() => first.kill());
	const taskGroup = (await first.line("group ")).slice("group ".length);
	await first.kill();
	expect(first.output).not.toContain("all ended");

	await using again = await Executor.reload({ taskGroup, client });
	expect(again).toHaveLength(count);
	const settlements = new Map<string, number>();
	for (const future of again)
		void future.then(() => settlements.set(String(future.taskId), (settlements.get(String(future.taskId)) ?? 0) + 1));
	const values = (await Promise.all(again)) as number[];
	expect(values.sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, index) => index));
	expect(settlements.size).toBe(count);
	expect([...settlements.values()].every((times) => times === 1)).toBe(true);

	// And a third time, when everything has ended: the values are kept, and nothing ran again.
	await using third = await Executor.reload({ taskGroup, client });
	expect(new Set((await Promise.all(third)) as number[]).size).toBe(count);
	const { begun, ended } = readRecord(record);
	expect(ended.size).toBe(count);
	expect([...begun].filter(([, times]) => times > 1)).toEqual([]);
});
