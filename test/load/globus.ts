/**
 * Globus Compute's endpoint and ours, one after the other at the same cloud with the same work and two workers each, driven
 * by Globus Compute's SDK and by ours.
 */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Executor, python } from "@errand/sdk";
import { TestCloud } from "../harness/cloud.ts";
import { TestEndpoint } from "../harness/endpoint.ts";
import { GlobusEndpoint, globusEndpointPackage, threadTemplate } from "../harness/globus-endpoint.ts";
import { pythonEnvironment } from "../harness/python.ts";
import { markdown, median, percentile, whole } from "./figures.ts";

const run = promisify(execFile);
const program = fileURLToPath(new URL("./globus_no_op.py", import.meta.url));

const globusClients = { python: "Globus Compute's SDK", typescript: "Errand's SDK" } as const;
type GlobusClient = keyof typeof globusClients;
const globusEndpoints = {
	errand: "Errand's",
	processes: "Globus Compute's, its default engine",
	threads: "Globus Compute's, ThreadPoolEngine",
} as const;
type GlobusEndpointName = keyof typeof globusEndpoints;

interface GlobusFigures {
	readonly client: GlobusClient;
	readonly endpoint: GlobusEndpointName;
	/** No-op Python tasks a second, submit to last settled future: the median round. */
	readonly tasksPerS: number;
	readonly roundsTasksPerS: readonly number[];
	/** One warm task at a time, in milliseconds. */
	readonly latencyP50Ms: number;
	/** CPU time of the client's process for one task of a round, in microseconds: what it cannot be faster than. */
	readonly clientCpuUs: number;
}

export interface GlobusRun {
	readonly version: string;
	/** In a round. */
	readonly tasks: number;
	readonly figures: readonly GlobusFigures[];
}

/** Who submits and who runs, as rows; `ours` is how many times theirs ours is, with the same client. */
export function globusTableOf({ version, tasks, figures }: GlobusRun): string {
	const rows = figures.map(({ client, endpoint, tasksPerS, latencyP50Ms, clientCpuUs }) => {
		const ours = figures.find((row) => row.client === client && row.endpoint === "errand")?.tasksPerS ?? Number.NaN;
		return [
			globusClients[client],
			globusEndpoints[endpoint],
			whole(tasksPerS),
			(ours / tasksPerS).toFixed(1),
			whole(latencyP50Ms),
			whole(clientCpuUs),
		];
	});
	const titles = ["endpoint, 2 workers", "tasks/s", "ours", "one at a time, p50 (ms)", "client's CPU per task (µs)"];
	return markdown([[`client (${whole(tasks)} Python no-ops; packages ${version})`, ...titles], ...rows]);
}

const tasks = 4_000;
const rounds = 3;
/** Each takes up to a second where a poll is in the way. */
const singles = 20;
const timeLimitMs = 180_000;

/** Worker processes of the field's default engine on this machine; they find each other by loopback. */
const processTemplate = `engine:
  type: GlobusComputeEngine
  max_workers_per_node: 2
  address: 127.0.0.1
  provider: { type: LocalProvider, init_blocks: 1, min_blocks: 1, max_blocks: 1 }
heartbeat_period: 5
`;

type Measured = Pick<GlobusFigures, "roundsTasksPerS" | "clientCpuUs"> & { readonly latenciesMs: readonly number[] };

async function byPython(interpreter: string, id: string, environment: NodeJS.ProcessEnv): Promise<Measured> {
	const words = [program, id, ...[tasks, rounds, singles].map(String)];
	const { stdout } = await run(interpreter, words, { env: environment, timeout: timeLimitMs });
	const said = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as {
		rounds: number[];
		latenciesMs: number[];
		cpuUs: number;
	};
	return { roundsTasksPerS: said.rounds, latenciesMs: said.latenciesMs, clientCpuUs: said.cpuUs };
}

const identity = python<[number], number>({ source: "def identity(x):\n    return x\n", name: "identity" });

async function byTypescript(executor: Executor): Promise<Measured> {
	const finish = async (count: number): Promise<unknown> =>
		Promise.all(Array.from({ length: count }, (_, i) => executor.submit(identity, i)));
	await finish(200);
	const roundsTasksPerS: number[] = [];
	const cpu = process.cpuUsage();
	for (let round = 0; round < rounds; round++) {
		const begun = performance.now();
		await finish(tasks);
		roundsTasksPerS.push((tasks / (performance.now() - begun)) * 1000);
	}
	const { user, system } = process.cpuUsage(cpu);
	const latenciesMs: number[] = [];
	for (let i = 0; i < singles; i++) {
		const begun = performance.now();
		await executor.submit(identity, i);
		latenciesMs.push(performance.now() - begun);
	}
	return { roundsTasksPerS, latenciesMs, clientCpuUs: (user + system) / (rounds * tasks) };
}

/** Resolves to a sentence when Globus Compute's packages cannot be had or do not run here. */
export async function measureGlobus(): Promise<GlobusRun | string> {
	await using stack = new AsyncDisposableStack();
	let environment: Awaited<ReturnType<typeof pythonEnvironment>>;
	try {
		environment = await pythonEnvironment([globusEndpointPackage], { everybody: true });
	} catch (error) {
		const reason = error instanceof Error ? error.message.trim().split("\n").at(-1) : String(error);
		return `Globus Compute was not measured: ${globusEndpointPackage} could not be installed here (${reason}).`;
	}
	stack.defer(() => environment.remove());
	const cloud = await TestCloud.start({ ERRAND_CLOUD_LOG_LEVEL: "info" });
	stack.defer(() => cloud.stop());
	const { token } = await cloud.login("bench");
	const peer = await GlobusEndpoint.configure(cloud, token, environment.python, { template: processTemplate });
	stack.defer(() => peer.remove());
	const figures: GlobusFigures[] = [];

	async function measure(endpoint: GlobusEndpointName, id: string): Promise<void> {
		const executor = new Executor({ endpoint: id, client: peer.client });
		try {
			const measured = [
				["python", await byPython(environment.python, id, peer.environment)],
				["typescript", await byTypescript(executor)],
			] as const;
			for (const [client, { roundsTasksPerS, latenciesMs, clientCpuUs }] of measured)
				figures.push({
					...{ client, endpoint, roundsTasksPerS, clientCpuUs },
					tasksPerS: median(roundsTasksPerS),
					latencyP50Ms: percentile(latenciesMs, 50),
				});
		} finally {
			await executor.close();
		}
	}

	const ours = await TestEndpoint.start(cloud, peer.client, {
		config: `workers_per_node: 2\npython: ${environment.python}\n`,
	});
	try {
		await measure("errand", ours.id);
	} finally {
		await ours.stop();
	}
	// Only one of them runs at a time.
	await peer.start();
	await measure("processes", peer.id);
	await peer.stop();
	peer.write("user_config_template.yaml.j2", threadTemplate);
	await peer.start();
	await measure("threads", peer.id);
	figures.sort((a, b) => a.client.localeCompare(b.client));
	return { version: globusEndpointPackage.split("==")[1] ?? "", tasks, figures };
}
