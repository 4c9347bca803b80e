import { fileURLToPath } from "node:url";
import { type Client, Executor, mpi, shell } from "@errand/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TestCloud } from "../harness/cloud.ts";
import { ensureDebianPackages } from "../harness/debian.ts";
import { TestEndpoint } from "../harness/endpoint.ts";
import { type GlobusSettings, globusPackages, globusSettings, runProgram } from "../harness/globus.ts";
import { type PythonEnvironment, pythonEnvironment } from "../harness/python.ts";
import { startSlurm, type TestSlurm } from "../harness/slurm.ts";

const config = `
scheduler: slurm
nodes_per_block: 3
walltime: 10m
exclusive: false
cores_per_node: 4
workers_per_node: 4
memory_per_node: 1500MiB
init_blocks: 1
max_blocks: 1
poll_interval: 1s
link_addresses: ["127.0.0.1"]
mpi_launcher: mpirun
environment:
  OMPI_ALLOW_RUN_AS_ROOT: "1"
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1"
  OMPI_MCA_btl: tcp,self
`;
const lines = (text: string): string[] => text.trim().split("\n").sort();

describe("MPI inside real Slurm allocations", { timeout: 120_000 }, () => {
	let cloud: TestCloud;
	let slurm: TestSlurm;
	let client: Client;
	let endpoint: TestEndpoint;
	let executor: Executor;
	let python: PythonEnvironment;
	let settings: GlobusSettings;

	beforeAll(async () => {
		await ensureDebianPackages(["openmpi-bin"]);
		python = await pythonEnvironment([globusPackages.sdk]);
		[cloud, slurm] = await Promise.all([TestCloud.start(), startSlurm()]);
		const { token, client: own } = await cloud.login("ada");
		client = own;
		settings = await globusSettings(cloud, token);
		endpoint = await TestEndpoint.start(cloud, client, {
			name: "mpi",
			config: `${config}python: ${python.python}\n`,
			environment: slurm.environment,
		});
		executor = new Executor({ endpoint: "mpi", client });
	});
	afterAll(async () => {
		await executor?.close();
		await endpoint?.stop();
		await settings?.close();
		await slurm?.stop();
		await cloud?.stop();
		await python?.remove();
	});

	test("GC-10: each rank of a task over two nodes says its number, and half of them run on each", async () => {
		const hello = mpi('echo "$OMPI_COMM_WORLD_RANK of $OMPI_COMM_WORLD_SIZE"; echo "on $SLURMD_NODENAME $FLAVOUR"', {
			environment: { FLAVOUR: "it's" },
			nodes: 2,
			ranksPerNode: 4,
		});
		const { stdout, stderr, returncode } = await executor.submit(hello);
		expect(stderr).toBe("");
		expect(returncode).toBe(0);
		const said = lines(stdout);
		expect(said.slice(0, 8)).toEqual(Array.from({ length: 8 }, (_, rank) => `${rank} of 8`));
		const nodes = said.slice(8);
		expect(nodes.every((node) => node.endsWith(" it's"))).toBe(true);
		const names = [...new Set(nodes)];
		expect(names).toHaveLength(2);
		for (const name of names) expect(nodes.filter((node) => node === name)).toHaveLength(4);
	});

	test("BAL-5: MPI tasks of one, two and three nodes and single-core tasks share one block", async () => {
		const sizes = [3, 2, 1, 2, 1];
		const jobs = sizes.map((nodes) =>
			executor.submit(mpi('echo "$ERRAND_NODES $SLURMD_NODENAME"', { nodes, ranksPerNode: 2 })),
		);
		const small = Array.from({ length: 6 }, () => executor.submit(shell("echo $ERRAND_JOB_ID")));
		for (const [at, job] of jobs.entries()) {
			const said = lines((await job).stdout);
			expect(said).toHaveLength(2 * (sizes[at] as number));
			expect(new Set(said).size).toBe(sizes[at]);
		}
		const ids = new Set((await Promise.all(small)).map(({ stdout }) => stdout.trim()));
		const [job] = (await slurm.command("squeue", "--noheader", "--format=%i")).trim().split("\n");
		expect(ids, "DEP-4: the native job id").toEqual(new Set([job]));
	});

	test("GC-10: an MPIFunction of Globus Compute's Python SDK starts its ranks on two nodes", async () => {
		const { id } = await settings.client.whoami();
		await client.sharing.shareEndpoint(endpoint.id, { account: id, functions: null });
		const program = fileURLToPath(new URL("../peers/ranks.py", import.meta.url));
		const words = [endpoint.id, "2", "2"];
		const [code, stdout, stderr] = (await runProgram(python.python, program, words, settings.environment)).said.mpi as [
			number,
			string,
			string,
		];
		expect([code, stderr]).toEqual([0, ""]);
		const said = lines(stdout).map((line) => line.split(" on "));
		expect(said.map(([rank]) => rank)).toEqual([0, 1, 2, 3].map((rank) => `rank ${rank}`));
		expect(new Set(said.map(([, node]) => node)).size).toBe(2);
	});

	test("by srun, too, for programs that Slurm starts itself", async () => {
		const words =
			'srun --nodes=1 --nodelist="$ERRAND_HOSTS" --ntasks=1 --overlap --mem=0 sh -c "echo step $SLURM_JOB_ID"';
		const { stdout } = await executor
			.with({ resources: { ranksPerNode: 1 } })
			.submit(shell(`${words} # $ERRAND_MPI_PREFIX`));
		expect(stdout).toMatch(/^step \d+\n$/);
	});

	test("GC-10: at the walltime the ranks on all nodes are ended, and the nodes serve the next", async () => {
		const sleeper = mpi("echo begun; exec sleep 600", { nodes: 2, ranksPerNode: 1, walltimeMs: 3_000 });
		expect((await executor.submit(sleeper)).returncode).toBe(124);
		const next = mpi("echo next", { nodes: 3, ranksPerNode: 1 });
		expect(lines((await executor.submit(next)).stdout)).toEqual(["next", "next", "next"]);
	});
});
