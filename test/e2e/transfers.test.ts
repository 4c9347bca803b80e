/** Files between collections of two real daemons, with the real cloud between them. */
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Client } from "@errand/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TestCloud } from "../harness/cloud.ts";
import { TestEndpoint } from "../harness/endpoint.ts";

let cloud: TestCloud;
let client: Client;
const ends: Record<string, { endpoint: TestEndpoint; root: string }> = {};

async function openEnd(name: string, settings = ""): Promise<void> {
	const root = join(cloud.home, `root-${name}`);
	mkdirSync(root);
	const config = `init_blocks: 0\ncollections:\n  data: ${root}\n${settings}`;
	const endpoint = await TestEndpoint.start(cloud, client, { name, config });
	await endpoint.process.line("transfer: the agent is running");
	ends[name] = { endpoint, root };
}

beforeAll(async () => {
	cloud = await TestCloud.start();
	({ client } = await cloud.login("ada"));
	await openEnd("here", "transfer_port: 0\ntransfer_host: 127.0.0.1\ntransfer_addresses: [127.0.0.1]\n");
	await openEnd("there");
});
afterAll(async () => {
	for (const { endpoint } of Object.values(ends)) await endpoint.stop();
	await cloud?.stop();
});

const rootOf = (name: string): string => (ends[name] as { root: string }).root;
const move = async (from: string, to: string, items: object[], options: object = {}) => {
	const submitted = await client.transfers.submit({
		source_endpoint: from,
		destination_endpoint: to,
		items: items as never,
		...options,
	});
	return await client.transfers.wait(submitted.id, { timeoutMs: 20_000 });
};

test("a file goes directly, and is there under its name with its content", async () => {
	const bytes = randomBytes(20 * 1024 * 1024 + 17);
	writeFileSync(join(rootOf("here"), "large.bin"), bytes);
	const done = await move("here", "there", [{ source_path: "/data/large.bin", destination_path: "/data/sub/copy.bin" }]);
	expect(done, JSON.stringify(done.fatal_error)).toMatchObject({ status: "SUCCEEDED", used_route: "direct" });
	expect(readFileSync(join(rootOf("there"), "sub/copy.bin")).equals(bytes)).toBe(true);
});
