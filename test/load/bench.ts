/**
 * `npm run bench -- [--deployment embedded|full] [--peers] [--only-globus] [--json FILE] [--rounds 3] [--tasks 10000]
 * [--queued 100000]`: what a task costs, end to end, authenticated and durable. Every figure is of this machine in this
 * run; compare rows of one run. docs/performance.md says what each row means.
 */
import { writeFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { Executor, python, shell } from "@errand/sdk";
import { type Deployment, type DeploymentName, deploymentNames, startDeployment } from "../harness/deployment.ts";
import { TestEndpoint } from "../harness/endpoint.ts";
import { cpuUs, memoryBytes, treeOf } from "../harness/pids.ts";
import { measureEngine } from "./engine.ts";
import { type Figures, type Machine, median, percentile, type Run, tableOf } from "./figures.ts";
import { globusTableOf, measureGlobus } from "./globus.ts";
import { measureIdleDaemon } from "./idle-daemon.ts";
import { measureJobStart } from "./job-start.ts";
import { measureParsl } from "./peers.ts";

const { values: options } = parseArgs({
	options: {
		json: { type: "string" },
		deployment: { type: "string" },
		peers: { type: "boolean", default: false },
		"only-globus": { type: "boolean", default: false },
		rounds: { type: "string", default: "3" },
		tasks: { type: "string", default: "10000" },
		queued: { type: "string", default: "100000" },
	},
});
const rounds = positive("rounds");
const tasks = positive("tasks");
const queued = positive("queued");

function positive(name: "rounds" | "tasks" | "queued"): number {
	const value = Number(options[name]);
	if (Number.isSafeInteger(value) && value > 0) return value;
	throw new Error(`--${name} is a positive whole number, not ${options[name]}`);
}

/** Process ids by the role that the table names. What is embedded in the cloud counts there. */
function roles(deployment: Deployment, endpoint: TestEndpoint): Record<string, number[]> {
	const managers = endpoint.managerPids();
	const managerTree = managers.flatMap(treeOf);
	const cloud = deployment.cloud.process.pid;
	return {
		client: [process.pid],
		cloud: [cloud],
		database: deployment.database ? treeOf(deployment.database.pid) : treeOf(cloud).filter((pid) => pid !== cloud),
		...(deployment.broker && { broker: [deployment.broker.pid] }),
		daemon: [endpoint.process.pid],
		manager: managers,
		workers: managerTree.filter((pid) => !managers.includes(pid)),
	};
}

type Usage = Record<string, number>;

/** Runs the work, and tells the CPU time that each role took for one of `count`, in microseconds. */
async function cpuOf(who: Record<string, number[]>, count: number, work: () => Promise<void>): Promise<Usage> {
	const take = () => Object.entries(who).map(([role, pids]) => [role, cpuUs(pids)] as const);
	const before = new Map(take());
	await work();
	return Object.fromEntries(take().map(([role, us]) => [role, (us - (before.get(role) ?? 0)) / count]));
}

async function throughput(submit: (i: number) => PromiseLike<unknown>, count: number): Promise<number> {
	const started = performance.now();
	const futures: PromiseLike<unknown>[] = [];
	for (let i = 0; i < count; i++) futures.push(submit(i));
	await Promise.all(futures);
	return (count / (performance.now() - started)) * 1000;
}

async function measure(name: DeploymentName): Promise<Figures> {
	await using stack = new AsyncDisposableStack();
	const deployment = await startDeployment(name, { ERRAND_CLOUD_LOG_LEVEL: "info" });
	stack.defer(() => deployment.stop());
	const { client } = await deployment.cloud.login("bench");
	const endpoint = await TestEndpoint.configure(deployment.cloud, client, { config: "workers_per_node: 2\n" });
	const executor = new Executor({ endpoint: endpoint.id, client });
	const noop = (x: number) => x;

	const begun = performance.now();
	await endpoint.start();
	stack.defer(() => endpoint.stop());
	stack.defer(() => executor.close());
	await executor.submit(noop, 0);
	const firstResultMs = performance.now() - begun;

	await throughput((i) => executor.submit(noop, i), 2_000);
	const javascript: number[] = [];
	const cpu: Usage[] = [];
	for (let round = 0; round < rounds; round++)
		cpu.push(
			await cpuOf(roles(deployment, endpoint), tasks, async () => {
				javascript.push(await throughput((i) => executor.submit(noop, i), tasks));
			}),
		);

	const latencies: number[] = [];
	const oneByOne = async (count: number): Promise<void> => {
		for (let i = 0; i < count; i++) {
			const at = performance.now();
			await executor.submit(noop, i);
			latencies.push(performance.now() - at);
		}
	};
	await oneByOne(50);
	latencies.length = 0;
	const cpuSingle = await cpuOf(roles(deployment, endpoint), 500, () => oneByOne(500));

	const identity = python({ source: "def identity(x):\n    return x\n", name: "identity" });
	await throughput((i) => executor.submit(identity, i), 500);
	const pythonRounds: number[] = [];
	for (let round = 0; round < rounds; round++)
		pythonRounds.push(await throughput((i) => executor.submit(identity, i), tasks));

	const nothing = shell("true");
	await executor.submit(nothing);
	const commandTasksPerS = await throughput(() => executor.submit(nothing), 500);

	// Both workers sleep while the queue fills.
	const blockers = [0, 1, 2, 3].map(() => executor.submit(shell("sleep 600")));
	await Promise.all(blockers.map((future) => future.accepted));
	const queueBegun = performance.now();
	const waiting = Array.from({ length: queued }, (_, i) => executor.submit(noop, i));
	await Promise.all(waiting.map((future) => future.accepted));
	const queueMs = performance.now() - queueBegun;
	const memoryBytesQueued = Object.fromEntries(
		Object.entries(roles(deployment, endpoint)).map(([role, pids]) => [role, memoryBytes(pids)]),
	);
	const cancelBegun = performance.now();
	await executor.cancelAll();
	await Promise.allSettled([...blockers, ...waiting]);
	const cancelAllMs = performance.now() - cancelBegun;

	return {
		deployment: name,
		firstResultMs,
		javascriptTasksPerS: median(javascript),
		javascriptRoundsTasksPerS: javascript,
		pythonTasksPerS: median(pythonRounds),
		pythonRoundsTasksPerS: pythonRounds,
		commandTasksPerS,
		latencyMs: { p50: percentile(latencies, 50), p95: percentile(latencies, 95), p99: percentile(latencies, 99) },
		cpuUsPerTask: Object.fromEntries(
			Object.keys(cpu[0] ?? {}).map((role) => [role, median(cpu.map((usage) => usage[role] ?? 0))]),
		),
		cpuUsPerSingleTask: cpuSingle,
		memoryBytesQueued,
		queued,
		queueMs,
		cancelAllMs,
	};
}

const names = options.deployment ? deploymentNames.filter((name) => name === options.deployment) : deploymentNames;
if (names.length === 0) throw new Error(`--deployment is one of ${deploymentNames.join(", ")}`);
const machine: Machine = {
	at: new Date().toISOString(),
	node: process.versions.node,
	cores: cpus().length,
	processor: cpus()[0]?.model.trim() ?? "",
	memoryBytes: totalmem(),
	loadBefore: loadavg()[0] ?? 0,
};

async function measureAll(): Promise<Run> {
	const figures: Figures[] = [];
	for (const name of names) figures.push(await measure(name));
	return {
		...machine,
		tasks,
		figures,
		engine: measureEngine(),
		idleDaemonPercent: await measureIdleDaemon(),
		jobStartMs: median(await measureJobStart()),
		...(options.peers && { parsl: await measureParsl() }),
	};
}

const run = options["only-globus"] ? undefined : await measureAll();
const globus = options.peers || options["only-globus"] ? await measureGlobus() : undefined;
console.log(
	`\n${machine.at.slice(0, 10)}, ${machine.cores} cores (${machine.processor}), ${(machine.memoryBytes / 2 ** 30).toFixed(0)} GiB, ` +
		`Node.js ${machine.node}; load before: ${machine.loadBefore.toFixed(1)}`,
);
if (run !== undefined) console.log(`\n${tableOf(run)}`);
if (typeof run?.parsl === "string") console.log(`\n${run.parsl}`);
if (globus !== undefined) console.log(`\n${typeof globus === "string" ? globus : globusTableOf(globus)}`);
const json = `${JSON.stringify({ ...machine, ...run, ...(globus !== undefined && { globus }) }, null, "\t")}\n`;
if (options.json) writeFileSync(options.json, json);
else console.log(`\n${json}`);
