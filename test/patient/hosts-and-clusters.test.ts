/** The whole path over schedulers without a queue of their own: hosts over SSH, Jobs of Kubernetes. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Executor } from "@errand/sdk";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { endpointMark } from "../../endpoint/src/scheduler/job-mark.ts";
import { installKubectl } from "../../endpoint/src/scheduler/kubernetes/kubectl.test-harness.ts";
import { TestCloud } from "../harness/cloud.ts";
import { TestEndpoint } from "../harness/endpoint.ts";
import { startSshd, type TestSshd } from "../harness/sshd.ts";

let cloud: TestCloud;
let client: Awaited<ReturnType<TestCloud["login"]>>["client"];
let sshd: TestSshd;
let place: string;
let environment: ReturnType<typeof installKubectl>;

beforeAll(async () => {
	cloud = await TestCloud.start();
	({ client } = await cloud.login("ada"));
	sshd = await startSshd();
	place = mkdtempSync(join(tmpdir(), "errand-cluster-"));
	environment = installKubectl(place);
});
afterAll(async () => {
	await sshd?.stop();
	await cloud?.stop();
	rmSync(place, { recursive: true, force: true });
});

const manyHosts = "scheduler: ssh\nhosts: [alpha, beta]\nnodes_per_block: 2\nwalltime: 10m\nworkers_per_node: 1\n";
const cluster =
	"scheduler: kubernetes\nkubernetes: { namespace: science, image: errand }\nwalltime: 10m\nworkers_per_node: 1\n";

test.each([
	["ssh", manyHosts, 2],
	["kubernetes", cluster, 1],
])(
	"an endpoint on %s runs what it is given, goes on after a crash, and leaves nothing when it is stopped",
	async (name, config, managers) => {
		const endpoint = await TestEndpoint.configure(cloud, client, {
			name,
			config: `${config}link_addresses: [127.0.0.1]\npoll_interval: 1s\n`,
			environment,
		});
		writeFileSync(join(endpoint.directory, "ssh_config"), sshd.clientConfig);
		await endpoint.start();
		const executor = new Executor({ endpoint: name, client });
		try {
			expect(await executor.submit((a: number, b: number) => a + b, 20, 22)).toBe(42);
			await vi.waitFor(() => expect(endpoint.managerPids().length).toBeGreaterThanOrEqual(managers), {
				timeout: 30_000,
			});
			const before = endpoint.managerPids();
			await endpoint.kill();
			await endpoint.start();
			expect(await executor.submit(() => "after the crash")).toBe("after the crash");
			expect(endpoint.managerPids()).toEqual(before);
		} finally {
			await executor.close();
			await endpoint.stop();
			sshd.forget(endpointMark(endpoint.directory));
		}
		await vi.waitFor(() => expect(endpoint.managerPids()).toEqual([]), { timeout: 30_000 });
	},
	120_000,
);
