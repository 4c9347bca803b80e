/** Globus Compute's SDK and Globus Compute's endpoint, both unmodified, with our cloud between them. */
import { execFile } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Executor, python, type TaskFuture } from "@errand/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ensureDebianPackages } from "../harness/debian.ts";
import { type Deployment, deploymentNames, startDeployment } from "../harness/deployment.ts";
import { type ProgramEnd, runProgram } from "../harness/globus.ts";
import { GlobusEndpoint, globusEndpointPackage, threadTemplate } from "../harness/globus-endpoint.ts";
import { type PythonEnvironment, pythonEnvironment } from "../harness/python.ts";

const run = promisify(execFile);
const program = (name: string): string => fileURLToPath(new URL(`./${name}.py`, import.meta.url));

/** Its default engine, its MPI engine on one node, and one that there is not; processes find each other by loopback. */
const template = (home: string): string => `{% set engine = engine|default("") %}{% if engine == '"htex"' %}
engine:
  type: GlobusComputeEngine
  max_workers_per_node: 2
  address: 127.0.0.1
  provider: { type: LocalProvider, init_blocks: 1, max_blocks: 1 }
heartbeat_period: 5
{% elif engine == '"mpi"' %}
engine:
  type: GlobusMPIEngine
  mpi_launcher: mpiexec
  max_workers_per_block: 1
  address: 127.0.0.1
  provider:
    type: LocalProvider
    init_blocks: 1
    max_blocks: 1
    launcher: { type: SimpleLauncher }
    worker_init: export PATH=${home}/mpich:$PATH PBS_NODEFILE=${home}/mpich/nodes
heartbeat_period: 5
{% elif engine == '"none"' %}
engine: { type: NoSuchEngine }
{% else %}
${threadTemplate}{% endif %}
`;
const schema = {
	type: "object",
	properties: { workers: { type: "integer" }, engine: { enum: ["htex", "mpi", "none"] } },
	additionalProperties: false,
};

let environment: PythonEnvironment;
beforeAll(async () => {
	await ensureDebianPackages(["mpich"]);
	environment = await pythonEnvironment([globusEndpointPackage], { everybody: true });
}, 400_000);
afterAll(() => environment?.remove());

describe.each(deploymentNames)("NEW-29: the field's SDK, the %s deployment, the field's endpoint", (deploymentName) => {
	let deployment: Deployment;
	let endpoint: GlobusEndpoint;
	let walk: ProgramEnd;
	const said = (what: string): unknown => walk.said[what];

	beforeAll(async () => {
		deployment = await startDeployment(deploymentName);
		const { token } = await deployment.cloud.login("ada");
		endpoint = await GlobusEndpoint.configure(deployment.cloud, token, environment.python, { schema });
		endpoint.write("user_config_template.yaml.j2", template(endpoint.home));
		mkdirSync(join(endpoint.home, "mpich"));
		writeFileSync(join(endpoint.home, "mpich", "mpiexec"), '#!/bin/sh\nexec mpiexec.mpich "$@"\n', { mode: 0o755 });
		endpoint.write("../../mpich/nodes", "localhost\n");
		await endpoint.start();
		const extent = deploymentName === "embedded" ? "whole" : "short";
		const words = [endpoint.id, extent];
		walk = await runProgram(environment.python, program("endpoint_walk"), words, endpoint.environment, 240_000);
	}, 360_000);
	afterAll(async () => {
		await endpoint?.remove();
		await deployment?.stop();
	}, 60_000);

	test("what cannot be started is refused with 422 and the endpoint's own words", () => {
		const [status, code, message] = said("refused.value") as [number, string, string];
		expect([status, code]).toEqual([422, "SEMANTICALLY_INVALID"]);
		expect(message).toContain("'many' is not of type 'integer'");
		expect(said("refused.engine")).toEqual([
			422,
			"SEMANTICALLY_INVALID",
			expect.stringContaining("not a valid engine"),
		]);
	});

	test("an executor's futures get values of any type and size, and exceptions with their traceback, over AMQP", () => {
		expect(said("sums")).toEqual(Array.from({ length: 20 }, (_, n) => 2 * n));
		expect(said("kept")).toBe(true);
		expect(said("large")).toBe(2_000_000);
		expect(said("failed")).toEqual(["TaskExecutionFailed", expect.stringContaining("ValueError: no such word: xyzzy")]);
		expect(said("bad")).toContain("ValueError: no such word: x");
	});

	test("GC-10: shell functions give return code, output and 124 at their walltime", () => {
		expect(said("shell.plain")).toEqual(["ShellResult", 0, "hello\n", expect.stringMatching(/^err\n/), null]);
		expect(said("shell.code")).toMatchObject({ 0: "ShellResult", 1: 4, 4: "subprocess.CalledProcessError" });
		expect(said("shell.late")).toMatchObject({ 0: "ShellResult", 1: 124, 4: "subprocess.TimeoutExpired" });
	});

	test("two configurations are two processes, and the first is still there for the next task", () => {
		const pids = said("pids") as Record<"plain" | "one" | "again", number[]>;
		expect([pids.plain.length, pids.one.length]).toEqual([1, 1]);
		expect(pids.one).not.toEqual(pids.plain);
		expect(pids.again).toEqual(pids.plain);
	});

	test("a batch's results come in its order; the endpoint's state, registration and allowed functions are there", () => {
		expect(said("batch")).toEqual(Array.from({ length: 150 }, (_, n) => n + 10));
		expect(said("status")).toMatchObject({ status: "online" });
		expect(said("metadata")).toMatchObject({ uuid: endpoint.id, name: "lab", multi_user: false });
		expect(said("allowed")).toMatchObject({ restricted: false, functions: [] });
	});

	if (deploymentName === "embedded") {
		test("its default engine runs tasks in worker processes, and says what it takes no resources for", () => {
			expect(said("htex.sums")).toEqual(Array.from({ length: 8 }, (_, n) => 2 * n));
			expect(said("htex.failed")).toEqual(["TaskExecutionFailed", expect.stringContaining("no such word: htex")]);
			expect(said("htex.shell")).toMatchObject({ 0: "ShellResult", 1: 0, 2: "hello\n" });
			expect(said("htex.parents")).toHaveLength(1);
			expect(said("htex.resources")).toEqual(["TaskExecutionFailed", expect.stringContaining("cores")]);
		});

		test("a worker of its default engine that is killed in a task: the task fails, and says by what", () => {
			expect(said("lost")).toContain("WorkerLost");
		});

		test("GC-10: its MPI engine starts the ranks asked for with a real mpiexec", () => {
			const [type, code, stdout] = said("mpi") as [string, number, string];
			expect([type, code]).toEqual(["ShellResult", 0]);
			expect(stdout.trim().split("\n").sort()).toEqual(["rank 0 of 2", "rank 1 of 2"]);
			expect(said("mpi.nothing")).toEqual(["TaskExecutionFailed", expect.stringContaining("MPI mode requires")]);
		});

		test("the hardware of its nodes is told", () => {
			expect(said("hardware")).toContain("== shell: df -h ==");
		});
	}

	/** Says that it runs, then waits for a word. */
	const wait = python<[string, number], number>({
		name: "wait",
		source: `
def wait(directory, n):
    import os, time
    with open(os.path.join(directory, "started"), "a") as log:
        log.write(f"{n}\\n")
    while not os.path.exists(os.path.join(directory, "go")):
        time.sleep(0.05)
    return 10 * n
`,
	});

	/** Six tasks for two threads, of which two run; `go` lets them and all others end. */
	async function sixOnTheWay(word: string): Promise<{
		futures: TaskFuture<number>[];
		started: () => string[];
		go: () => void;
		executor: Executor;
	}> {
		const directory = join(endpoint.home, word);
		endpoint.write(`../../${word}/started`, "");
		chmodSync(directory, 0o777);
		const executor = new Executor({ endpoint: endpoint.id, client: endpoint.client });
		const futures = Array.from({ length: 6 }, (_, n) => executor.submit(wait, directory, n));
		const started = (): string[] => readFileSync(join(directory, "started"), "utf8").trim().split("\n");
		await expect.poll(started, { timeout: 30_000 }).toHaveLength(2);
		return { futures, started, go: () => writeFileSync(join(directory, "go"), ""), executor };
	}

	test("NEW-7: a user endpoint that is killed with tasks in it: all six are sent again and end once, and each says so", async () => {
		const others = endpoint.userEndpoints();
		const { futures, started, go, executor } = await sixOnTheWay("killed");
		// Another client is another process; its threads are the workers.
		const [pid = 0, ...more] = [...endpoint.userEndpoints().keys()].filter((one) => !others.has(one));
		expect(more).toEqual([]);
		process.kill(pid, "SIGKILL");
		go();
		expect(await Promise.all(futures)).toEqual([0, 10, 20, 30, 40, 50]);
		expect(started().length, "the two that ran have run again").toBe(8);
		for (const future of futures) {
			const { transitions, state } = await future.document();
			expect(state).toBe("success");
			expect(transitions.map(({ reason }) => reason)).toContain(
				"its process at the endpoint was lost; it is sent again",
			);
		}
		await executor.close();
	}, 120_000);

	// What follows is the same whatever the broker is.
	if (deploymentName !== "embedded") return;

	test("NEW-7: a manager that is killed and started again: its processes end what they run, and each task ends once with its value", async () => {
		const { futures, started, go, executor } = await sixOnTheWay("restarted");
		const refusals = (): number => endpoint.read("endpoint.log").match(/Command return code: 73/g)?.length ?? 0;
		const before = refusals();
		await endpoint.kill();
		await endpoint.start();
		// The threads of the one before cannot be stopped, and none of its name starts beside it.
		await expect.poll(refusals, { timeout: 30_000 }).toBeGreaterThan(before);
		expect(started()).toHaveLength(2);
		go();
		expect(await Promise.all(futures)).toEqual([0, 10, 20, 30, 40, 50]);
		await executor.close();
	}, 120_000);

	test("only the functions that its configuration now allows are taken, after a restart by its own command", async () => {
		const { client } = endpoint;
		const fn = await client.registerFunction({ function_name: "wait", function_code: await wait.code() });
		const other = await client.registerFunction({ function_name: "wait", function_code: await wait.code() });
		endpoint.write("config.yaml", `${endpoint.read("config.yaml")}allowed_functions:\n  - ${fn}\n`);
		await endpoint.start("restart");
		const { said } = await runProgram(
			environment.python,
			program("endpoint_end"),
			[endpoint.id, fn, other, join(endpoint.home, "killed")],
			endpoint.environment,
		);
		expect(said).toEqual({
			allowed: { endpoint_id: endpoint.id, restricted: true, functions: [fn] },
			permitted: 70,
			forbidden: [403, "FUNCTION_NOT_PERMITTED", expect.stringContaining(other)],
		});
	}, 120_000);

	test("stopped from afar by its own command, it ends, is refused with 423 while it is locked, and is deleted by the SDK", async () => {
		// It waits as long for the daemon as that waits for its last heartbeat, which is refused by then; either may win.
		await endpoint
			.command("stop", "--remote", endpoint.name)
			.catch((error: Error) => expect(error.message).toContain("Encountered timeout"));
		await endpoint.process.exit();
		await endpoint.untilStatus("offline");
		await expect(endpoint.start()).rejects.toThrow(/locked until/);
		const words = ["-c", "import sys, globus_compute_sdk as g; print(g.Client().delete_endpoint(sys.argv[1]).data)"];
		const { stdout } = await run(environment.python, [...words, endpoint.id], { env: endpoint.environment });
		expect(stdout).toContain("302");
		await expect(endpoint.client.getEndpoint(endpoint.id)).rejects.toMatchObject({ code: "ENDPOINT_NOT_FOUND" });
	}, 60_000);
});
