/** Transfers whose ends, or the cloud between them, go away for a while. */
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TransferDocument } from "@errand/proto/rest";
import type { Client, TransferOptions } from "@errand/sdk";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { TestCloud } from "../harness/cloud.ts";
import { TestEndpoint } from "../harness/endpoint.ts";

const patient = { timeout: 90_000, interval: 100 };

let cloud: TestCloud;
let client: Client;
const ends = new Map<string, { endpoint: TestEndpoint; root: string }>();
const endOf = (name: string) => ends.get(name) as { endpoint: TestEndpoint; root: string };

async function openEnd(name: string, settings: string): Promise<void> {
	const root = join(cloud.home, `root-${name}`);
	mkdirSync(root);
	const config = `init_blocks: 0\ncollections: { data: ${root} }\n${settings}`;
	const endpoint = await TestEndpoint.start(cloud, client, { name, config });
	await endpoint.process.line("transfer: the agent is running");
	ends.set(name, { endpoint, root });
}

beforeAll(async () => {
	cloud = await TestCloud.start();
	({ client } = await cloud.login("ada"));
	await openEnd("here", "transfer_port: 0\ntransfer_host: 127.0.0.1\ntransfer_addresses: [127.0.0.1]\n");
	// Nobody listens at the address that it tells.
	await openEnd("hidden", "transfer_port: 0\ntransfer_host: 127.0.0.1\ntransfer_addresses: [127.0.0.2]\n");
	await openEnd("there", "");
});
afterAll(async () => {
	for (const { endpoint } of ends.values()) await endpoint.stop();
	await cloud?.stop();
});

const submit = (from: string, to: string, name: string, options: Partial<TransferOptions> = {}) =>
	client.transfers.submit({
		source_endpoint: from,
		destination_endpoint: to,
		items: [{ source_path: `/data/${name}`, destination_path: `/data/${name}` }],
		...options,
	});
const codesOf = async (id: string): Promise<string[]> =>
	(await client.transfers.events(id, { limit: 1000 })).items.map((event) => event.code);

async function until(id: string, holds: (transfer: TransferDocument) => boolean): Promise<TransferDocument> {
	return await vi.waitFor(async () => {
		const now = await client.transfers.get(id);
		expect(holds(now), JSON.stringify(now)).toBe(true);
		return now;
	}, patient);
}

function writeLarge(end: string, name: string, megabytes: number): string {
	const block = randomBytes(8 * 1024 * 1024);
	const hash = createHash("sha256");
	for (let n = 0; n < megabytes / 8; n++) {
		block.writeUInt32LE(n);
		hash.update(block);
		writeFileSync(join(endOf(end).root, name), block, { flag: "a" });
	}
	return hash.digest("hex");
}
const digestOf = (end: string, name: string): string =>
	createHash("sha256")
		.update(readFileSync(join(endOf(end).root, name)))
		.digest("hex");

const agentsPid = (end: string): number => {
	const lines = endOf(end)
		.endpoint.process.output.split("\n")
		.filter((line) => line.includes("the agent is running"));
	return (JSON.parse(lines.at(-1) as string) as { pid: number }).pid;
};

test("whichever process is killed, what was done is not done again, and all of it arrives", {
	timeout: 180_000,
}, async () => {
	const digest = writeLarge("here", "killed", 640);
	const { id } = await submit("here", "there", "killed");
	await until(id, (now) => now.counters.bytes_transferred > 0);
	// The agent that writes; its daemon starts another.
	process.kill(agentsPid("there"), "SIGKILL");
	await vi.waitFor(async () => expect(await codesOf(id)).toContain("RESUMED"), patient);
	process.kill(agentsPid("here"), "SIGKILL");
	await cloud.kill();
	await cloud.start();
	const done = await until(id, (now) => now.completed_at !== null);
	expect(done).toMatchObject({ status: "SUCCEEDED", fatal_error: null });
	expect(digestOf("there", "killed")).toBe(digest);
	expect(readdirSync(endOf("there").root)).toEqual(["killed"]);
	expect(done.counters.bytes_transferred).toBe(640 * 1024 * 1024);
	const { items } = await client.transfers.events(id, { limit: 1000 });
	expect(items.some((event) => / of 80 chunks are there/.test(event.description))).toBe(true);
});

test("where the direct way cannot be gone the relay is taken", { timeout: 120_000 }, async () => {
	const digest = writeLarge("hidden", "rerouted", 16);
	const { id } = await submit("hidden", "here", "rerouted");
	const done = await until(id, (now) => now.completed_at !== null);
	expect(done).toMatchObject({ status: "SUCCEEDED", used_route: "relay" });
	expect(digestOf("here", "rerouted")).toBe(digest);
	expect(await codesOf(id)).toContain("ROUTE_CHANGED");
});

test("an end that is away makes a transfer INACTIVE, and it goes on when that is back", {
	timeout: 240_000,
}, async () => {
	const { endpoint, root } = endOf("there");
	writeFileSync(join(root, "waited"), "");
	truncateSync(join(root, "waited"), 20 * 1024 * 1024);
	// It says good-bye: known at once.
	await endpoint.stop();
	const { id } = await submit("there", "here", "waited");
	const away = await until(id, (now) => now.status === "INACTIVE");
	expect(away).toMatchObject({
		nice_status: "OFFLINE",
		nice_status_description: expect.stringContaining("the source"),
	});
	const late = await submit("there", "here", "late", { deadline: new Date(Date.now() + 1_500).toISOString() });
	expect(await until(late.id, (now) => now.completed_at !== null)).toMatchObject({
		status: "FAILED",
		fatal_error: { code: "EXPIRED" },
	});
	await endpoint.start();
	expect(await until(id, (now) => now.completed_at !== null)).toMatchObject({ status: "SUCCEEDED" });
	expect(await codesOf(id)).toEqual(expect.arrayContaining(["ENDPOINT_OFFLINE", "RESUMED", "SUCCEEDED"]));
	// It says nothing any more: known when it has been silent for long enough. Held, so that it does not see its daemon die.
	const pid = agentsPid("there");
	process.kill(pid, "SIGSTOP");
	await endpoint.kill();
	process.kill(pid, "SIGKILL");
	const silent = await submit("there", "here", "waited", { sync_level: 1 });
	await until(silent.id, (now) => now.status === "INACTIVE");
	await endpoint.start();
	const back = await until(silent.id, (now) => now.completed_at !== null);
	expect(back).toMatchObject({ status: "SUCCEEDED", counters: { files_skipped: 1 } });
});
