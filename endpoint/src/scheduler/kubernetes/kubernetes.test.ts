import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "@errand/proto";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { parse } from "yaml";
import { type KubernetesConfig, parseConfig } from "../../config/config.ts";
import type { QueueConfig } from "../../config/queue.ts";
import { silentLogger } from "../../service/logger.ts";
import { schedulerContract } from "../scheduler.contract.ts";
import type { BlockSpec, Scheduler } from "../scheduler.ts";
import { installKubectl } from "./kubectl.test-harness.ts";
import { openKubernetesScheduler } from "./kubernetes.ts";

const settings = "scheduler: kubernetes\nkubernetes: { namespace: science, image: registry/errand:1 }\n";
let place: string;
let cluster: string;

beforeAll(() => {
	place = mkdtempSync(join(tmpdir(), "errand-kubectl-"));
	const environment = installKubectl(place);
	for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
	cluster = environment.KUBERNETES_OF_TEST;
});
afterAll(() => {
	vi.unstubAllEnvs();
	rmSync(place, { recursive: true, force: true });
});

function openIn(directory: string, config = settings): Scheduler {
	const { kubernetes } = parseConfig(config, "config.yaml", directory);
	const options = { directory, commandTimeoutMs: 20_000, log: silentLogger };
	return openKubernetesScheduler(options, kubernetes as KubernetesConfig);
}

describe("Kubernetes", () => {
	schedulerContract((directory) => openIn(directory), {
		config: settings.slice(settings.indexOf("\n") + 1),
		limitMs: 10_000,
		strangeJob: `errand-${newId()}`,
		refused: {
			config: `${settings.slice(settings.indexOf("\n") + 1)}cores_per_node: 128`,
			words: /denied request: no more than 64 cores/,
		},
		silence: {
			begin: () => writeFileSync(join(cluster, "down"), ""),
			end: () => rmSync(join(cluster, "down")),
		},
	});
});

describe("a block as a Job", () => {
	const inTime = { timeout: 10_000, interval: 100 };
	let directory: string;
	let scheduler: Scheduler;
	let jobs: string[];
	beforeEach(() => {
		directory = mkdtempSync(join(tmpdir(), "errand-kubernetes-"));
		scheduler = openIn(directory);
		jobs = [];
	});
	afterEach(async () => {
		await scheduler.cancel(jobs, 0);
		rmSync(directory, { recursive: true, force: true });
	});

	function specOf(config: string, command: BlockSpec["command"], more: Partial<BlockSpec> = {}): BlockSpec {
		const queue = parseConfig(settings + config, "config.yaml", directory).queues[0] as QueueConfig;
		const nodes = queue.nodesPerBlock;
		const logPath = join(directory, "logs", "block.log");
		const plain = { blockId: newId(), jobName: "errand-kube", environment: {}, workerInit: "" };
		return { ...plain, queue, nodes, command, logPath, ...more };
	}
	async function submit(spec: BlockSpec): Promise<string> {
		const id = await scheduler.submit(spec);
		jobs.push(id);
		return id;
	}
	const statusOf = async (id: string) => (await scheduler.poll([id])).get(id);

	test("its manifest asks for what the settings say", () => {
		const config =
			"queue: physics\nqos: urgent\nnodes_per_block: 3\nwalltime: 1h\ncores_per_node: 8\nmemory_per_node: 16GiB\n" +
			"available_accelerators: 2\nscheduler_options: |\n  tolerations: [{ key: gpu, operator: Exists }]\n  container:\n" +
			"    volumeMounts: [{ name: home, mountPath: /home }]\n";
		const { metadata, spec } = parse(scheduler.script(specOf(config, ["/bin/true"])));
		expect(metadata.labels["kueue.x-k8s.io/queue-name"]).toBe("physics");
		expect(spec).toMatchObject({
			backoffLimit: 0,
			completions: 3,
			completionMode: "Indexed",
			activeDeadlineSeconds: 3600,
		});
		const pod = spec.template.spec;
		expect(pod).toMatchObject({
			restartPolicy: "Never",
			priorityClassName: "urgent",
			automountServiceAccountToken: false,
			tolerations: [{ key: "gpu" }],
		});
		expect(pod.containers[0]).toMatchObject({
			image: "registry/errand:1",
			resources: { limits: { cpu: "8", memory: "17179869184", "nvidia.com/gpu": "2" } },
			volumeMounts: [{ name: "home" }],
		});
	});

	test("every node of it runs, and its secret is in the Job's keeping and nowhere else", async () => {
		const spec = specOf("nodes_per_block: 2", ["/bin/sh", "-c", 'echo "node $JOB_COMPLETION_INDEX $TOKEN"'], {
			environment: { TOKEN: "very-secret-token" },
		});
		const id = await submit(spec);
		expect(scheduler.script(spec)).not.toContain("very-secret-token");
		const files = readdirSync(cluster).filter((name) => name.endsWith(".json"));
		const secret = JSON.parse(readFileSync(join(cluster, `Secret.${id}.json`), "utf8"));
		expect(secret.metadata.ownerReferences).toEqual([expect.objectContaining({ kind: "Job", name: id })]);
		for (const name of files.filter((one) => !one.startsWith("Secret")))
			expect(readFileSync(join(cluster, name), "utf8")).not.toContain("very-secret-token");
		await vi.waitFor(async () => expect(await statusOf(id)).toMatchObject({ end: "completed" }), inTime);
		const log = readFileSync(spec.logPath, "utf8");
		expect(log).toContain("node 0 very-secret-token");
		expect(log).toContain("node 1 very-secret-token");
		await scheduler.cancel([id], 0);
		expect(readdirSync(cluster).filter((name) => name.includes(id) && name.endsWith(".json"))).toEqual([]);
	});

	test("what a failed Job has said is in the block's log, although its pods do not reach that", async () => {
		const elsewhere = openIn(directory, settings.replace("registry/", "elsewhere/"));
		const spec = specOf("", ["/bin/sh", "-c", "echo no such module >&2; exit 3"]);
		const id = await elsewhere.submit(spec);
		jobs.push(id);
		await vi.waitFor(async () => expect(await statusOf(id)).toMatchObject({ end: "failed", exitCode: 3 }), inTime);
		expect(readFileSync(spec.logPath, "utf8")).toMatch(/^\[pod\/errand-.*\/manager\] no such module\n$/);
	});

	test("an image that cannot be pulled is said, and is held when it has been so for minutes", async () => {
		const broken = openIn(directory, settings.replace("registry/errand:1", "nosuch/image:1"));
		const id = await broken.submit(specOf("", ["/bin/true"]));
		jobs.push(id);
		const reason = 'ImagePullBackOff: Back-off pulling image "nosuch/image:1"';
		await vi.waitFor(async () => expect(await statusOf(id)).toMatchObject({ state: "starting", reason }), inTime);
		vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 180_000 });
		try {
			expect(await statusOf(id)).toMatchObject({ state: "held", reason });
		} finally {
			vi.useRealTimers();
		}
	});
});
