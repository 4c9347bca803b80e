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

export const globusClients = { python: "Globus Compute's SDK", typescript: "Errand's SDK" } as const;
export type GlobusClient = keyof typeof globusClients;
export const globusEndpoints = {
	errand: "Errand's",
	processes: "Globus Compute's, its default engine",
	threads: "Globus Compute's, ThreadPoolEngine",
} as const;
export type GlobusEndpointName = keyof typeof globusEndpoints;

export interface GlobusFigures {
	readonly client: GlobusClient;
	readonly endpoint: GlobusEndpointName;
	/** No-op Python tasks a second, submit to last settled future: the median round. */
	readonly tasksPerS: number;
	readonly roundsTasksPerS: readonly number[];
	/** One warm task at a time, in milliseconds. */
	readonly latencyP50Ms: number;
}

export interface GlobusRun {
	readonly version: string;
	/** In a round. */
	readonly tasks: number;
	readonly figures: readonly GlobusFigures[];
}

/** Endpoints as rows; ours first, and how many times theirs it is. */
export function globusTableOf({ version, tasks, figures }: GlobusRun): string {
	const names = Object.keys(globusEndpoints) as GlobusEndpointName[];
	const clients = Object.keys(globusClients) as GlobusClient[];
	const of = (client: GlobusClient, endpoint: GlobusEndpointName): GlobusFigures | undefined =>
		figures.find((row) => row.client === client && row.endpoint === endpoint);
	const titles = clients.flatMap((client) => [
		`${globusClients[client]}: tasks/s`,
		"times",
		`${globusClients[client]}: one at a time, p50 (ms)`,
	]);
	const rows = names.map((endpoint) => [
		globusEndpoints[endpoint],
		...clients.flatMap((client) => {
			const found = of(client, endpoint);
			if (found === undefined) return ["–", "–", "–"];
			const times = (of(client, "errand")?.tasksPerS ?? Number.NaN) / found.tasksPerS;
			return [whole(found.tasksPerS), times.toFixed(1), whole(found.latencyP50Ms)];
		}),
	]);
	return markdown([[`endpoint (${whole(tasks)} Python no-ops, 2 workers, ${version})`, ...titles], ...rows]);
}

const tasks = 2_000;
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

type Measured = Pick<GlobusFigures, "roundsTasksPerS"> & { readonly latenciesMs: readonly number[] };

async function byPython(interpreter: string, id: string, environment: NodeJS.ProcessEnv): Promise<Measured> {
	const words = [program, id, ...[tasks, rounds, singles].map(String)];
	const { stdout } = await run(interpreter, words, { env: environment, timeout: timeLimitMs });
	const said = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as { rounds: number[]; latenciesMs: number[] };
	return { roundsTasksPerS: said.rounds, latenciesMs: said.latenciesMs };
}

const identity = python<[number], number>({ source: "def identity(x):\n    return x\n", name: "identity" });

async function byTypescript(executor: Executor): Promise<Measured> {
	const finish = async (count: number): Promise<unknown> =>
		Promise.all(Array.from({ length: count }, (_, i) => executor.submit(identity, i)));
	await finish(200);
	const roundsTasksPerS: number[] = [];
	for (let round = 0; round < rounds; round++) {
		const begun = performance.now();
		await finish(tasks);
		roundsTasksPerS.push((tasks / (performance.now() - begun)) * 1000);
	}
	const latenciesMs: number[] = [];
	for (let i = 0; i < singles; i++) {
		const begun = performance.now();
		await executor.submit(identity, i);
		latenciesMs.push(performance.now() - begun);
	}
	return { roundsTasksPerS, latenciesMs };
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
			for (const [client, { roundsTasksPerS, latenciesMs }] of measured)
				figures.push({
					...{ client, endpoint, roundsTasksPerS },
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
	return { version: globusEndpointPackage.split("==")[1] ?? "", tasks, figures };
}
