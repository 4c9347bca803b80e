import { join } from "node:path";
import { type Client, Executor } from "@errand/sdk";
import { expect, test } from "vitest";
import { closeAfterEach } from "../harness/closing.ts";
import { type Deployment, type DeploymentName, startDeployment } from "../harness/deployment.ts";
import { TestEndpoint } from "../harness/endpoint.ts";
import { childrenOf, commandOf } from "../harness/pids.ts";
import { readRecord, settled, submitWorkload } from "../harness/workload.ts";

const count = 2_000;

interface Scene {
	deployment: Deployment;
	endpoint: TestEndpoint;
	client: Client;
	executor: Executor;
}
const closeLater = closeAfterEach();

async function open(name: DeploymentName): Promise<Scene> {
	const deployment = await startDeployment(name);
	closeLater(() => deployment.stop());
	const { client } = await deployment.cloud.login("ada");
	const endpoint = await TestEndpoint.start(deployment.cloud, client, { config: "workers_per_node: 2\n" });
	closeLater(async () => {
		await endpoint.stop();
		expect(endpoint.processesLeft()).toEqual([]);
	});
	const executor = new Executor({ endpoint: "local", client });
	closeLater(() => executor.close());
	return { deployment, endpoint, client, executor };
}

const onlyChild = (pid: number | undefined, what: string): number => {
	if (pid === undefined) throw new Error(`no ${what} to kill`);
	return pid;
};

/** Whom to kill, and what it takes to have it back. */
const victims: Record<string, (scene: Scene) => Promise<void>> = {
	"the cloud": async ({ deployment }) => {
		await deployment.cloud.kill();
		await deployment.cloud.start();
	},
	"the broker": async ({ deployment }) => {
		await deployment.broker?.kill();
		await deployment.broker?.restart();
	},
	PostgreSQL: async ({ deployment }) => {
		if (deployment.database) {
			await deployment.database.kill();
			await deployment.database.start();
		} else process.kill(onlyChild(childrenOf(deployment.cloud.process.pid)[0], "PostgreSQL"), "SIGKILL");
	},
	"the endpoint's daemon": async ({ endpoint }) => {
		await endpoint.kill();
		await endpoint.start();
	},
	"a manager": async ({ endpoint }) => {
		process.kill(onlyChild(endpoint.managerPids()[0], "manager"), "SIGKILL");
	},
	"every worker": async ({ endpoint }) => {
		const workers = endpoint
			.managerPids()
			.flatMap(childrenOf)
			.filter((pid) => commandOf(pid).includes("/worker/"));
		for (const pid of workers) process.kill(pid, "SIGKILL");
		expect(workers.length).toBeGreaterThan(0);
	},
};

/** Whose death must not make any task run twice: the machine under the tasks is untouched. */
const harmless = new Set(["the cloud", "the broker", "PostgreSQL", "the endpoint's daemon"]);

test.each<[string, DeploymentName]>([
	["the cloud", "embedded"],
	["PostgreSQL", "embedded"],
	["the endpoint's daemon", "embedded"],
	["a manager", "embedded"],
	["every worker", "embedded"],
	["the cloud", "full"],
	["the broker", "full"],
	["PostgreSQL", "full"],
	["the endpoint's daemon", "full"],
])(
	"NEW-7: kill -9 of %s (%s) while 2,000 tasks are under way loses none",
	{ timeout: 180_000 },
	async (victim, name) => {
		const it = await open(name);
		const record = join(it.deployment.cloud.home, "record");
		const futures = submitWorkload(it.executor, record, count);
		const settlements = new Map<number, number>();
		for (const [index, future] of futures.entries()) {
			const note = () => settlements.set(index, (settlements.get(index) ?? 0) + 1);
			void future.then(note, note);
		}
		await settled(futures, count / 4);
		await victims[victim]?.(it);
		const values = await Promise.all(futures);

		expect(values).toEqual(Array.from({ length: count }, (_, index) => index));
		expect([...settlements.values()].every((times) => times === 1)).toBe(true);
		const { begun, ended } = readRecord(record);
		expect(ended.size).toBe(count);
		const twice = [...begun].filter(([, times]) => times > 1);
		if (harmless.has(victim)) expect(twice).toEqual([]);
		// The tasks that the dead process held, and no other, began again.
		else expect(twice.length).toBeLessThan(count / 4);
	},
);
