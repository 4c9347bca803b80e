import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Executor } from "@errand/sdk";
import { expect, test, vi } from "vitest";
import { closeAfterEach } from "../harness/closing.ts";
import { type Deployment, type DeploymentName, startDeployment } from "../harness/deployment.ts";
import { TestEndpoint } from "../harness/endpoint.ts";
import { readRecord } from "../harness/workload.ts";

const count = 300;
const patient = { timeout: 120_000, interval: 100 };

const closeLater = closeAfterEach();

/** Who carries messages in each deployment: what goes away, and what brings it back. */
const broker: Record<
	DeploymentName,
	{ kill: (d: Deployment) => Promise<void>; start: (d: Deployment) => Promise<void> }
> = {
	embedded: { kill: ({ cloud }) => cloud.kill(), start: ({ cloud }) => cloud.start() },
	full: {
		kill: async (deployment) => await deployment.broker?.kill(),
		start: async (deployment) => await deployment.broker?.restart(),
	},
};

test.each([
	["embedded", "goes on"],
	["embedded", "dies too"],
	["full", "goes on"],
	["full", "dies too"],
] as const)(
	"HQ-13: results wait at the endpoint while the broker (%s) is away and the daemon %s",
	{ timeout: 240_000 },
	async (name, daemon) => {
		const deployment = await startDeployment(name);
		closeLater(() => deployment.stop());
		const { client } = await deployment.cloud.login("ada");
		const endpoint = await TestEndpoint.start(deployment.cloud, client, { config: "workers_per_node: 2\n" });
		closeLater(() => endpoint.stop());
		const executor = new Executor({ endpoint: "local", client });
		closeLater(() => executor.close());
		const { home } = deployment.cloud;
		const [record, gate] = [join(home, "record"), join(home, "gate")];
		writeFileSync(record, "");

		const futures = Array.from({ length: count }, (_, n) =>
			executor.submit(
				async (index: number, path: string, until: string) => {
					const { appendFileSync, existsSync } = process.getBuiltinModule("node:fs");
					appendFileSync(path, `begin ${index}\n`);
					while (!existsSync(until)) await new Promise((resolve) => setTimeout(resolve, 20));
					appendFileSync(path, `end ${index}\n`);
					return index;
				},
				n,
				record,
				gate,
			),
		);
		// All of them are in the endpoint's hands before the broker goes: the last one has left the queue.
		await vi.waitFor(async () => {
			const states = await Promise.all(futures.slice(-3).map((future) => future.status()));
			expect(states.every((state) => state.startsWith("waiting-for"))).toBe(true);
		}, patient);
		await broker[name].kill(deployment);
		expect(existsSync(gate)).toBe(false);
		writeFileSync(gate, "");
		await vi.waitFor(() => expect(readRecord(record).ended.size).toBe(count), patient);
		expect(futures.filter((future) => future.settled)).toEqual([]);

		if (daemon === "dies too") {
			await endpoint.kill();
			const started = endpoint.start();
			await broker[name].start(deployment);
			await started;
		} else await broker[name].start(deployment);

		expect(await Promise.all(futures)).toEqual(Array.from({ length: count }, (_, n) => n));
		expect([...readRecord(record).begun].filter(([, times]) => times > 1)).toEqual([]);
	},
);
