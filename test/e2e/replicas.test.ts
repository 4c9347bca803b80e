/** Several cloud processes on one database and one broker: what a site runs that must not wait for a restart. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, Executor } from "@errand/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Balancer } from "../harness/balancer.ts";
import { TestCloud } from "../harness/cloud.ts";
import { TestEndpoint } from "../harness/endpoint.ts";
import { startPostgres } from "../harness/postgres.ts";
import { startRabbitmq } from "../harness/rabbitmq.ts";
import { readRecord, settled, submitWorkload } from "../harness/workload.ts";

describe("NEW-7: two clouds on one PostgreSQL and one RabbitMQ", () => {
	let broker: Awaited<ReturnType<typeof startRabbitmq>>;
	let database: Awaited<ReturnType<typeof startPostgres>>;
	let balancer: Balancer;
	let clouds: [TestCloud, TestCloud];
	let endpoint: TestEndpoint;
	let token: string;
	let client: Client;
	/** Where both keep large values, as on a file system that both have. */
	const values = mkdtempSync(join(tmpdir(), "errand-values-"));

	beforeAll(async () => {
		[broker, database, balancer] = await Promise.all([startRabbitmq(), startPostgres(), Balancer.open()]);
		const environment = {
			DATABASE_URL: database.url,
			AMQP_URL: broker.amqpUrl,
			RABBITMQ_MANAGEMENT_URL: broker.managementUrl,
			ERRAND_CLOUD_PUBLIC_URL: balancer.url,
			ERRAND_CLOUD_BLOB_DIRECTORY: values,
		};
		// At the same moment, on an empty database and an empty broker.
		clouds = await Promise.all([TestCloud.start(environment), TestCloud.start(environment)]);
		balancer.targets = clouds.map((cloud) => Number(new URL(cloud.url).port));
		({ token } = await clouds[0].login("ada"));
		client = new Client({ cloudUrl: balancer.url, token });
		const place = { home: clouds[0].home, url: balancer.url };
		endpoint = await TestEndpoint.start(place, client, { config: "workers_per_node: 2\n" });
	}, 180_000);

	afterAll(async () => {
		await endpoint?.stop();
		expect(endpoint?.processesLeft() ?? []).toEqual([]);
		await Promise.all(clouds?.map((cloud) => cloud.stop()) ?? []);
		await Promise.all([balancer?.close(), broker?.stop(), database?.stop()]);
		rmSync(values, { recursive: true, force: true });
	});

	test("starting together they migrate once, sign with one key and share one broker", async () => {
		const keys = await Promise.all(
			clouds.map(
				async ({ url }) => (await (await fetch(`${url}/v2/oauth2/jwks`)).json()) as { keys: { kid: string }[] },
			),
		);
		expect(keys[0]?.keys.map(({ kid }) => kid)).toEqual(keys[1]?.keys.map(({ kid }) => kid));
		for (const { url } of clouds) {
			const own = new Client({ cloudUrl: url, token });
			expect((await own.whoami()).username).toBe("ada");
			expect((await own.getEndpoint("local")).id).toBe(endpoint.id);
			expect((await fetch(`${url}/readyz`)).status).toBe(200);
		}
		// A login at one is a login at the other.
		const { token: other } = await clouds[1].login("bob");
		expect((await new Client({ cloudUrl: clouds[0].url, token: other }).whoami()).username).toBe("bob");
	});

	test("what is submitted at one is followed at the other", async () => {
		const [a, b] = clouds.map(({ url }) => new Client({ cloudUrl: url, token })) as [Client, Client];
		const submitting = new Executor({ endpoint: "local", client: a });
		const futures = Array.from({ length: 300 }, (_, index) =>
			submitting.submit(async (x: number) => {
				await new Promise((resolve) => setTimeout(resolve, 2));
				return x * 2;
			}, index),
		);
		await settled(futures, 1);
		const following = await Executor.reload({ taskGroup: submitting.taskGroup, client: b });
		const values = await Promise.all([...following]);
		expect(values).toHaveLength(300);
		expect(values.toSorted((x, y) => Number(x) - Number(y))).toEqual(Array.from({ length: 300 }, (_, x) => x * 2));
		expect(await Promise.all(futures)).toHaveLength(300);
		const large = submitting.submit((text: string) => text.toUpperCase(), "x".repeat(1_000_000));
		await large.then(() => undefined);
		const group = await Executor.reload({ taskGroup: submitting.taskGroup, client: b });
		expect(await Promise.all([...group])).toContain("X".repeat(1_000_000));
		await submitting.close();
	});

	test("kill -9 of the one that everybody talks to, with 1,000 tasks under way, loses none and runs none twice", {
		timeout: 180_000,
	}, async () => {
		const count = 1_000;
		const executor = new Executor({ endpoint: "local", client });
		const record = join(clouds[0].home, "record");
		const futures = submitWorkload(executor, record, count);
		const settlements = new Map<number, number>();
		for (const [index, future] of futures.entries()) {
			const note = () => settlements.set(index, (settlements.get(index) ?? 0) + 1);
			void future.then(note, note);
		}
		await settled(futures, count / 4);
		await clouds[0].kill();
		const more = submitWorkload(executor, join(clouds[0].home, "more"), 50);

		expect(await Promise.all(futures)).toEqual(Array.from({ length: count }, (_, index) => index));
		expect(await Promise.all(more)).toEqual(Array.from({ length: 50 }, (_, index) => index));
		expect([...settlements.values()].every((times) => times === 1)).toBe(true);
		const { begun, ended } = readRecord(record);
		expect(ended.size).toBe(count);
		expect([...begun].filter(([, times]) => times > 1)).toEqual([]);

		// And back, beside the one that went on.
		await clouds[0].start();
		expect(await executor.submit((x: number) => x, 7)).toBe(7);
		await executor.close();
	});
});
