import { join } from "node:path";
import { Executor } from "@errand/sdk";
import { expect, test } from "vitest";
import { Cable } from "../harness/cable.ts";
import { closeAfterEach } from "../harness/closing.ts";
import { TestCloud } from "../harness/cloud.ts";
import { TestEndpoint } from "../harness/endpoint.ts";
import { randomPort } from "../harness/ports.ts";
import { readRecord, settled, submitWorkload } from "../harness/workload.ts";

const cutMs = 60_000;

const closeLater = closeAfterEach();

test("NEW-7, HQ-13: the network to the cloud is cut for a minute and every task still ends once", {
	timeout: 240_000,
}, async () => {
	const [httpPort, amqpPort] = [await randomPort(), await randomPort()];
	const [http, amqp] = [await Cable.lay(httpPort), await Cable.lay(amqpPort)];
	closeLater(() => Promise.all([http.remove(), amqp.remove()]));
	const cloud = await TestCloud.start({
		ERRAND_CLOUD_PORT: String(httpPort),
		ERRAND_CLOUD_PUBLIC_URL: `http://127.0.0.1:${http.port}`,
		ERRAND_CLOUD_AMQP_PORT: String(amqpPort),
		ERRAND_CLOUD_AMQP_PUBLIC_URL: `amqp://127.0.0.1:${amqp.port}`,
	});
	closeLater(() => cloud.stop());
	const { client } = await cloud.login("ada");
	const endpoint = await TestEndpoint.start(cloud, client, { config: "workers_per_node: 2\n" });
	closeLater(() => endpoint.stop());
	const executor = new Executor({ endpoint: "local", client });
	closeLater(() => executor.close());
	const record = join(cloud.home, "record");
	const futures = submitWorkload(executor, record, 1_000);
	await settled(futures, 250);

	http.cut();
	amqp.cut();
	// The subject of this test is time itself: a minute in which nothing passes.
	await new Promise((resolve) => setTimeout(resolve, cutMs));
	http.mend();
	amqp.mend();

	expect(await Promise.all(futures)).toEqual(Array.from({ length: 1_000 }, (_, index) => index));
	const { begun, ended } = readRecord(record);
	expect(ended.size).toBe(1_000);
	expect([...begun].filter(([, times]) => times > 1)).toEqual([]);
});
