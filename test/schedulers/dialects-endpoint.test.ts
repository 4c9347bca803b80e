import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Client, Executor } from "@errand/sdk";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { FakeBatchSystem } from "../../endpoint/src/scheduler/fake-batch-system.test-harness.ts";
import { fakeFluxPrograms } from "../../endpoint/src/scheduler/flux/fake-flux.test-harness.ts";
import { fakeCondorPrograms } from "../../endpoint/src/scheduler/htcondor/fake-condor.test-harness.ts";
import { fakeLsfPrograms } from "../../endpoint/src/scheduler/lsf/fake-lsf.test-harness.ts";
import { fakePbsPrograms, fakeTorquePrograms } from "../../endpoint/src/scheduler/pbs/fake-pbs.test-harness.ts";
import { TestCloud } from "../harness/cloud.ts";
import { TestEndpoint } from "../harness/endpoint.ts";

const patient = { timeout: 60_000, interval: 50 };
const systems = {
	pbs: fakePbsPrograms({ history: true }),
	torque: fakeTorquePrograms,
	lsf: fakeLsfPrograms,
	htcondor: fakeCondorPrograms,
	flux: fakeFluxPrograms,
};

describe("an endpoint on a batch system", { timeout: 120_000 }, () => {
	let cloud: TestCloud;
	let client: Client;
	beforeAll(async () => {
		cloud = await TestCloud.start();
		({ client } = await cloud.login("ada"));
	});
	afterAll(() => cloud?.stop());

	test.each(Object.entries(systems))(
		"NEW-7: %s: a task asks for a job, survives the daemon's death in it, and no job is left",
		async (name, programs) => {
			const system = await FakeBatchSystem.start(programs);
			let endpoint: TestEndpoint | undefined;
			let executor: Executor | undefined;
			try {
				endpoint = await TestEndpoint.start(cloud, client, {
					name,
					config: `scheduler: ${name}\nwalltime: 10m\ninit_blocks: 0\nworkers_per_node: 2\npoll_interval: 1s\nlink_addresses: ["127.0.0.1"]\n`,
				});
				executor = new Executor({ endpoint: name, client });
				expect(system.jobs).toEqual([]);
				const place = join(cloud.home, name);
				const held = executor.submit(async (file: string) => {
					const fs = process.getBuiltinModule("node:fs");
					fs.appendFileSync(`${file}-running`, "x");
					while (!fs.existsSync(`${file}-end`)) await new Promise((resolve) => setTimeout(resolve, 20));
					return process.env.ERRAND_SCHEDULER;
				}, place);
				await vi.waitFor(() => expect(existsSync(`${place}-running`)).toBe(true), patient);
				await endpoint.kill();
				await endpoint.start();
				writeFileSync(`${place}-end`, "");
				// What runs in it knows PBS and Torque by the same variables.
				expect(await held).toBe(name === "torque" ? "pbs" : name);
				expect(readFileSync(`${place}-running`, "utf8")).toBe("x");
				expect(system.jobs).toHaveLength(1);
				await executor.close();
				await endpoint.stop();
				expect(system.jobs.map(({ state }) => state)).toEqual(["ended"]);
				expect(endpoint.processesLeft()).toEqual([]);
				expect(readdirSync(join(endpoint.directory, "blocks")).filter((file) => file.endsWith(".sh"))).toEqual([]);
				endpoint = undefined;
			} finally {
				await executor?.close();
				await endpoint?.stop();
				await system.stop();
			}
		},
	);
});
