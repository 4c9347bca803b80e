/**
 * `npm run bench [-- --json FILE] [-- --deployment embedded|full] [-- --rounds 3]`: what a task costs, end to end, authenticated and durable.
 * Every figure is of this machine in this run; compare rows of one run.
 */
import { writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { Executor, python, shell } from "@errand/sdk";
import { type Deployment, type DeploymentName, deploymentNames, startDeployment } from "../harness/deployment.ts";
import { TestEndpoint } from "../harness/endpoint.ts";
import { cpuUs, memoryBytes, treeOf } from "../harness/pids.ts";

const { values: options } = parseArgs({
	options: {
		json: { type: "string" },
		deployment: { type: "string" },
		rounds: { type: "string", default: "3" },
		tasks: { type: "string", default: "10000" },
		queued: { type: "string", default: "100000" },
	},
});
const rounds = Number(options.rounds);
const tasks = Number(options.tasks);
const queued = Number(options.queued);

interface Figures {
	deployment: DeploymentName;
	/** From starting the endpoint's daemon to the first result, in milliseconds. */
	firstResultMs: number;
	/** No-op tasks a second, submit to last settled future: the median round. */
	javascriptTasksPerS: number;
	javascriptRoundsTasksPerS: number[];
	pythonTasksPerS: number;
	pythonRoundsTasksPerS: number[];
	/** Commands (`true`) a second. */
	commandTasksPerS: number;
	/** One warm task at a time, in milliseconds. */
	latencyMs: { p50: number; p95: number; p99: number };
	/** Microseconds of CPU for one JavaScript task, by process. */
	cpuUsPerTask: Record<string, number>;
	/** Bytes (proportional set size) with `queued` tasks waiting. */
	memoryBytesQueued: Record<string, number>;
	queued: number;
}

const median = (values: number[]): number => percentile(values, 50);
function percentile(values: number[], p: number): number {
	const sorted = values.toSorted((a, b) => a - b);
	return sorted[Math.min(sorted.length - 1, Math.floor((p / 100) * sorted.length))] ?? Number.NaN;
}

/** Process ids by the role that the table names. */
function roles(deployment: Deployment, endpoint: TestEndpoint): Record<string, number[]> {
	const managers = endpoint.managerPids();
	const managerTree = managers.flatMap(treeOf);
	const cloud = deployment.cloud.process.pid;
	return {
		client: [process.pid],
		cloud: [cloud],
		database: deployment.database ? treeOf(deployment.database.pid) : treeOf(cloud).filter((pid) => pid !== cloud),
		...(deployment.broker && { broker: treeOf(deployment.broker.pid) }),
		daemon: [endpoint.process.pid],
		manager: managers,
		workers: managerTree.filter((pid) => !managers.includes(pid)),
	};
}

async function throughput(
	executor: Executor,
	submit: (i: number) => PromiseLike<unknown>,
	count: number,
): Promise<number> {
	const started = performance.now();
	const futures: PromiseLike<unknown>[] = [];
	for (let i = 0; i < count; i++) futures.push(submit(i));
	await Promise.all(futures);
	void executor;
	return (count / (performance.now() - started)) * 1000;
}

async function measure(name: DeploymentName): Promise<Figures> {
	const deployment = await startDeployment(name, { ERRAND_CLOUD_LOG_LEVEL: "info" });
	const { client } = await deployment.cloud.login("bench");
	const config = "workers_per_node: 2\n";
	const endpoint = await TestEndpoint.configure(deployment.cloud, client, { config });
	const executor = new Executor({ endpoint: endpoint.id, client });
	try {
		const begun = performance.now();
		await endpoint.start();
		const noop = (x: number) => x;
		await executor.submit(noop, 0);
		const firstResultMs = performance.now() - begun;

		await throughput(executor, (i) => executor.submit(noop, i), 2_000);
		const javascript: number[] = [];
		const cpu: Record<string, number[]> = {};
		for (let round = 0; round < rounds; round++) {
			const who = roles(deployment, endpoint);
			const before = Object.fromEntries(Object.entries(who).map(([role, pids]) => [role, cpuUs(pids)]));
			javascript.push(await throughput(executor, (i) => executor.submit(noop, i), tasks));
			for (const [role, pids] of Object.entries(who)) {
				cpu[role] ??= [];
				cpu[role].push((cpuUs(pids) - (before[role] ?? 0)) / tasks);
			}
		}

		const latencies: number[] = [];
		for (let i = 0; i < 550; i++) {
			const at = performance.now();
			await executor.submit(noop, i);
			if (i >= 50) latencies.push(performance.now() - at);
		}

		const identity = python({ source: "def identity(x):\n    return x\n", name: "identity" });
		await throughput(executor, (i) => executor.submit(identity, i), 500);
		const pythonRounds: number[] = [];
		for (let round = 0; round < rounds; round++)
			pythonRounds.push(await throughput(executor, (i) => executor.submit(identity, i), tasks));

		const nothing = shell("true");
		await executor.submit(nothing);
		const commands = await throughput(executor, () => executor.submit(nothing), 500);

		// Both workers sleep while the queue fills.
		const blockers = [0, 1, 2, 3].map(() => executor.submit(shell("sleep 600")));
		const waiting = Array.from({ length: queued }, (_, i) => executor.submit(noop, i));
		await Promise.all(waiting.slice(-1).map((future) => future.accepted));
		await Promise.all(waiting.map((future) => future.accepted));
		const memory = Object.fromEntries(
			Object.entries(roles(deployment, endpoint)).map(([role, pids]) => [role, memoryBytes(pids)]),
		);
		await executor.cancelAll();
		await Promise.allSettled([...blockers, ...waiting]);

		return {
			deployment: name,
			firstResultMs,
			javascriptTasksPerS: median(javascript),
			javascriptRoundsTasksPerS: javascript,
			pythonTasksPerS: median(pythonRounds),
			pythonRoundsTasksPerS: pythonRounds,
			commandTasksPerS: commands,
			latencyMs: { p50: percentile(latencies, 50), p95: percentile(latencies, 95), p99: percentile(latencies, 99) },
			cpuUsPerTask: Object.fromEntries(Object.entries(cpu).map(([role, values]) => [role, median(values)])),
			memoryBytesQueued: memory,
			queued,
		};
	} finally {
		await executor.close();
		await endpoint.stop();
		await deployment.stop();
	}
}

function print(all: Figures[]): void {
	const row = (title: string, value: (figures: Figures) => string) =>
		console.log(`${title.padEnd(46)}${all.map((figures) => value(figures).padStart(14)).join("")}`);
	const rate = (value: number) => Math.round(value).toLocaleString("en");
	row("", (f) => f.deployment);
	row(`JavaScript no-op tasks/s (${rate(tasks)}, 2 workers)`, (f) => rate(f.javascriptTasksPerS));
	row(`Python no-op tasks/s (${rate(tasks)}, 2 workers)`, (f) => rate(f.pythonTasksPerS));
	row("commands/s (500 × true, 2 workers)", (f) => rate(f.commandTasksPerS));
	for (const p of ["p50", "p95", "p99"] as const)
		row(`latency of one warm task, ${p} of 500 (ms)`, (f) => f.latencyMs[p].toFixed(1));
	row("daemon start to first result (ms)", (f) => rate(f.firstResultMs));
	const rolesNamed = [...new Set(all.flatMap((f) => Object.keys(f.cpuUsPerTask)))];
	for (const role of rolesNamed)
		row(`CPU per task, ${role} (µs)`, (f) => f.cpuUsPerTask[role]?.toFixed(0) ?? "in cloud");
	row("CPU per task, all (µs)", (f) =>
		Object.values(f.cpuUsPerTask)
			.reduce((a, b) => a + b, 0)
			.toFixed(0),
	);
	for (const role of rolesNamed)
		row(`memory with ${rate(queued)} queued, ${role} (MB)`, (f) =>
			f.memoryBytesQueued[role] === undefined ? "in cloud" : (f.memoryBytesQueued[role] / 1e6).toFixed(0),
		);
}

const names = options.deployment ? deploymentNames.filter((name) => name === options.deployment) : deploymentNames;
if (names.length === 0) throw new Error(`--deployment is one of ${deploymentNames.join(", ")}`);
const figures: Figures[] = [];
for (const name of names) figures.push(await measure(name));
console.log(
	`\n${cpus().length} cores (${cpus()[0]?.model.trim()}), ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Node.js ${process.versions.node}\n`,
);
print(figures);
const json = JSON.stringify(
	{ at: new Date().toISOString(), node: process.versions.node, cores: cpus().length, figures },
	null,
	"\t",
);
if (options.json) writeFileSync(options.json, `${json}\n`);
else console.log(`\n${json}`);
