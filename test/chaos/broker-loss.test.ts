import { join } from "node:path";
import { Executor } from "@errand/sdk";
import { afterEach, expect, test } from "vitest";
import { type Deployment, startDeployment } from "../harness/deployment.ts";
import { TestEndpoint } from "../harness/endpoint.ts";
import { readRecord, settled, submitWorkload } from "../harness/workload.ts";

let deployment: Deployment | undefined;
let endpoint: TestEndpoint | undefined;
let executor: Executor | undefined;

afterEach(async () => {
	await executor?.close();
	await endpoint?.stop();
	await deployment?.stop();
});

/** Everything that RabbitMQ holds is gone at once: exchanges, queues, messages, permissions, connections. */
async function forgetEverything(managementUrl: string): Promise<void> {
	const { username, password, origin } = new URL(managementUrl);
	const ask = async (method: string, path: string, body?: object) => {
		const reply = await fetch(origin + path, {
			method,
			headers: { authorization: `Basic ${btoa(`${username}:${password}`)}`, "content-type": "application/json" },
			...(body && { body: JSON.stringify(body) }),
		});
		if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${await reply.text()}`);
	};
	const everything = { configure: ".*", write: ".*", read: ".*" };
	await ask("DELETE", "/api/vhosts/%2F");
	await ask("PUT", "/api/vhosts/%2F");
	await ask("PUT", `/api/permissions/%2F/${username}`, everything);
}

test("NEW-7: a RabbitMQ that comes back with nothing is filled again, and every task ends once", {
	timeout: 240_000,
}, async () => {
	const count = 600;
	deployment = await startDeployment("full");
	const { cloud, broker } = deployment;
	const { client } = await cloud.login("ada");
	endpoint = await TestEndpoint.start(cloud, client, { config: "workers_per_node: 2\n" });
	executor = new Executor({ endpoint: "local", client });
	const record = join(cloud.home, "record");
	const futures = submitWorkload(executor, record, count);
	await settled(futures, count / 4);

	await forgetEverything(broker?.managementUrl ?? "");
	const later = submitWorkload(executor, join(cloud.home, "later"), 20);

	expect(await Promise.all(futures)).toEqual(Array.from({ length: count }, (_, index) => index));
	expect(await Promise.all(later)).toEqual(Array.from({ length: 20 }, (_, index) => index));
	const { begun, ended } = readRecord(record);
	expect(ended.size).toBe(count);
	expect([...begun].filter(([, times]) => times > 1)).toEqual([]);
});
