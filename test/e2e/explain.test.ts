import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Client, Executor } from "@errand/sdk";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { TestCloud } from "../harness/cloud.ts";
import { CommandLine } from "../harness/command-line.ts";
import { TestEndpoint } from "../harness/endpoint.ts";

const patient = { timeout: 30_000, interval: 100 };

let cloud: TestCloud;
let client: Client;
let endpoint: TestEndpoint;

beforeAll(async () => {
	cloud = await TestCloud.start();
	({ client } = await cloud.login("ada"));
	endpoint = await TestEndpoint.configure(cloud, client, { config: "workers_per_node: 1\ncores_per_node: 1\n" });
});
afterAll(async () => {
	if (endpoint?.processesLeft().length) await endpoint.stop();
	await cloud?.stop();
});

test("NEW-8: HQ-5: a task says why it waits, from before its endpoint was ever started to its end", async () => {
	const ada = (await CommandLine.open(cloud, "grace")).with({
		ERRAND_CLOUD_URL: cloud.url,
		ERRAND_TOKEN: await client.accessToken(),
	});
	await using executor = new Executor({ endpoint: "local", client });
	const mayEnd = join(cloud.home, "may-end");
	const running = executor.submit(async (path: string) => {
		const fs = process.getBuiltinModule("node:fs");
		while (!fs.existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 20));
	}, mayEnd);
	const id = await running.accepted;
	expect(await running.explain()).toMatchObject({ state: "received", word: "endpoint-never-started" });
	expect(await ada.expect("task", "explain", id)).toContain("errand endpoint start local");

	await endpoint.start();
	await vi.waitFor(async () => expect(await running.status()).toBe("running"), patient);
	expect(await running.explain()).toMatchObject({
		word: null,
		sentence: expect.stringContaining("has been running on"),
	});

	const behind = executor.submit((x: number) => x + 1, 1);
	const after = executor.submit((x: number) => x + 1, behind);
	expect(await after.explain()).toMatchObject({ state: "submitting", word: "dependency" });
	await vi.waitFor(async () => expect(await behind.status()).toBe("waiting-for-nodes"), patient);
	// The endpoint has it and one worker, which is busy.
	const told = await ada.json<{ word: string; sentence: string; endpoint_status: string }>(
		...["task", "explain", String(behind.taskId)],
	);
	expect(told.word).toBe("nodes-busy");
	expect(told.endpoint_status).toBe("online");
	expect((await ada.run("task", "wait", String(behind.taskId), "--timeout", "1s")).stderr).toContain(told.word);

	writeFileSync(mayEnd, "");
	expect(await after).toBe(3);
	expect(await behind.explain()).toMatchObject({ state: "success", word: null });

	await endpoint.stop();
	const late = executor.submit(() => 1);
	await late.accepted;
	await vi.waitFor(async () => expect(await late.explain()).toMatchObject({ word: "endpoint-stopped" }), patient);
	await late.cancel();
});
