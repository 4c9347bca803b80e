import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { pack } from "@errand/proto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { closeAfterEach } from "../harness/closing.ts";
import { TestCloud } from "../harness/cloud.ts";
import { ensureDebianPackages } from "../harness/debian.ts";
import { type Deployment, deploymentNames, startDeployment } from "../harness/deployment.ts";
import { TestEndpoint } from "../harness/endpoint.ts";
import { type GlobusSettings, globusPackages, globusSettings, type ProgramEnd, runProgram } from "../harness/globus.ts";
import { otherPython, type PythonEnvironment, pythonEnvironment } from "../harness/python.ts";

const program = (name: string): string => fileURLToPath(new URL(`./${name}.py`, import.meta.url));

/** Of the submitter: the newest release and that of a year before. Of the endpoint too, unless a test says otherwise. */
let python: PythonEnvironment;
let earlier: PythonEnvironment;
let otherDill: PythonEnvironment;
beforeAll(async () => {
	[python, earlier, otherDill] = await Promise.all([
		pythonEnvironment([globusPackages.sdk]),
		pythonEnvironment([globusPackages.earlierSdk]),
		pythonEnvironment(["dill==0.3.7"]),
	]);
}, 400_000);
afterAll(() => Promise.all([python, earlier, otherDill].map((environment) => environment?.remove())));

describe.each(deploymentNames)("NEW-29: Globus Compute's Python SDK, unmodified, with the %s deployment", (name) => {
	let deployment: Deployment;
	let settings: GlobusSettings;
	let endpoint: TestEndpoint;
	let walk: ProgramEnd;
	const said = (what: string): unknown => walk.said[what];

	beforeAll(async () => {
		deployment = await startDeployment(name);
		const { token } = await deployment.cloud.login("ada");
		settings = await globusSettings(deployment.cloud, token);
		endpoint = await TestEndpoint.start(deployment.cloud, settings.client, {
			config: `workers_per_node: 4\npython: ${python.python}\n`,
		});
		walk = await runProgram(python.python, program("walk"), [endpoint.id], settings.environment);
	}, 180_000);
	afterAll(async () => {
		await endpoint?.stop();
		await settings?.close();
		await deployment?.stop();
	});

	test("an executor's futures get their values over AMQP, of any type and size", () => {
		expect(said("version")).toBe(globusPackages.sdk.split("==")[1]);
		expect(said("sums")).toEqual(Array.from({ length: 20 }, (_, n) => 2 * n));
		expect(said("kept")).toBe(true);
		expect(said("large")).toBe(2_000_000);
		expect(said("registered")).toBe(42);
		expect(said("ids")).toEqual([true, false]);
	});

	test("an exception comes back with the remote traceback", () => {
		expect(said("failed")).toContain("Traceback (most recent call last)");
		expect(said("failed")).toContain("ValueError: no such word: xyzzy");
		expect(said("failed")).toContain("in fails");
		expect(said("bad")).toContain("ValueError: no such word: x");
	});

	test("GC-10: shell functions give return code, output and 124 at their walltime, in a sandbox of their own", () => {
		const [type, code, stdout, stderr, exception] = said("shell.plain") as [string, number, string, string, null];
		expect([type, code, stderr, exception]).toEqual(["ShellResult", 0, "err\n", null]);
		expect(stdout).toMatch(/^hello\n\/.+\n$/);
		expect(said("shell.code")).toEqual(["ShellResult", 4, "", "", "subprocess.CalledProcessError"]);
		expect(said("shell.late")).toEqual(["ShellResult", 124, "", "", "subprocess.TimeoutExpired"]);
	});

	test("a client's tasks are pending, then have results, alone and in batches", () => {
		expect(said("function")).toBe("add");
		expect(said("pending")).toBe(true);
		expect(said("batch")).toEqual([10, 11, 12, 13, 14]);
		expect(said("result")).toBe(2);
		expect(said("task")).toEqual({ pending: false, status: "success" });
		expect(said("slept")).toBe("slept");
	});

	test("it sees the endpoint, and is refused in the public interface's words what is not there", () => {
		expect(said("status")).toMatchObject({
			status: "online",
			details: { total_workers: 4, idle_workers: 4, managers: 1, pending_tasks: 0, outstanding_tasks: 0 },
		});
		expect(said("busy")).toBe(1);
		expect(said("metadata")).toMatchObject({ uuid: endpoint.id, name: "local" });
		expect(said("endpoints")).toEqual([endpoint.id]);
		expect(said("unknown.function")).toEqual([404, "FUNCTION_NOT_FOUND", expect.stringContaining("resolved")]);
		expect(said("unknown.endpoint")).toEqual([404, "ENDPOINT_NOT_FOUND", expect.stringContaining("resolved")]);
		expect(said("unknown.task")).toEqual([404, "TASK_NOT_FOUND", expect.stringContaining("resolved")]);
		expect(said("deleted")).toEqual([404, "FUNCTION_NOT_FOUND", expect.stringContaining("resolved")]);
	});

	test("GC-1: another process gets a task group's results by its id alone", async () => {
		const group = String(said("group"));
		const reloaded = await runProgram(python.python, program("reload"), [endpoint.id, group], settings.environment);
		expect(reloaded.said).toEqual({
			count: 27,
			numbers: [...Array.from({ length: 20 }, (_, n) => 2 * n), 42].sort((a, b) => a - b),
			failed: ["TaskExecutionFailed"],
		});
	});
});

describe("NEW-29: what else Globus Compute's Python SDK may ask for", { timeout: 120_000 }, () => {
	let cloud: TestCloud;
	let settings: GlobusSettings;
	let directory: string;
	beforeAll(async () => {
		directory = await mkdtemp(join(tmpdir(), "errand-peers-"));
		// Far less than a program asks for in its first second.
		cloud = await TestCloud.start({ ERRAND_CLOUD_RATE_LIMIT_PER_S: "10", ERRAND_CLOUD_RATE_LIMIT_BURST: "15" });
		settings = await globusSettings(cloud, (await cloud.login("ada")).token);
	});
	afterAll(async () => {
		await settings?.close();
		await cloud?.stop();
		await rm(directory, { recursive: true, force: true });
	});
	const closeLater = closeAfterEach();

	async function endpointWith(interpreter: string, name: string): Promise<TestEndpoint> {
		const config = `workers_per_node: 2\npython: ${interpreter}\n`;
		const endpoint = await TestEndpoint.start(cloud, settings.client, { name, config });
		closeLater(() => endpoint.stop());
		return endpoint;
	}

	test("every way to serialize code and data, source as text, result serializers, resources, endpoint settings", async () => {
		const endpoint = await endpointWith(python.python, "options");
		const group = await settings.client.sharing.createGroup("peers");
		const words = [endpoint.id, group.id];
		const { said } = await runProgram(python.python, program("options"), words, settings.environment);
		const data = ["AllDataStrategies", "DillDataBase64", "JSONData"];
		const code = ["AllCodeStrategies", "CombinedCode", "DillCode", "DillCodeSource", "DillCodeTextInspect"];
		code.push("PureSourceDill", "PureSourceTextInspect");
		// One more that a release brings fails here, and gets a line in docs/globus-compute.md.
		expect(said.strategies).toEqual([...data, ...code, "PickleCode"].sort());
		for (const name of data) {
			expect(said[`data.${name}`], name).toEqual(["int", 3]);
			expect(said[`tuple.${name}`], name).toEqual(["tuple", [1, 1]]);
		}
		const codes = Object.entries(said).filter(([name]) => name.startsWith("code."));
		expect(codes.map(([name]) => name.slice(5)).sort()).toEqual([...code].sort());
		for (const [name, value] of codes) expect(value, name).toEqual(["int", 3]);
		expect(cloud.process.output, "the rate limit was met, and obeyed").toContain("TOO_MANY_REQUESTS");
		expect(said).toMatchObject({
			callable: ["function", 3],
			source: ["int", 42],
			public: ["int", 2],
			pickled: ["int", 3],
			group: ["int", 2],
			"result.JSONData": ["list", [1, 1]],
			"result.AllDataStrategies": ["list", [1, 1]],
			resources: ["int", 2],
			configured: ["int", 2],
			"shell.dict": { cmd: "echo {}", stdout: "{}\n", stderr: "", returncode: 0, exception_name: null },
		});
	});

	test("NEW-21: a function for a group is run by its members, and by nobody else", async () => {
		const group = await settings.client.sharing.createGroup("lab");
		const { client: member } = await cloud.login("grace");
		const { client: stranger } = await cloud.login("eve");
		await settings.client.sharing.setMember(group.id, "grace");
		const fn = await settings.client.registerFunction({
			...{ function_name: "one", function_code: pack(["st\none:def one(): return 1"]), group: group.id },
		});
		const { endpoint_id } = await settings.client.registerEndpoint({
			endpoint_name: "for-lab",
			metadata: { errand_protocol: 1 },
		});
		const outcomes = [];
		for (const [who, client] of [
			["grace", member],
			["eve", stranger],
		] as const) {
			await settings.client.sharing.shareEndpoint(endpoint_id, { account: who, functions: null });
			outcomes.push(
				await client.submit(endpoint_id, { tasks: { [fn]: [pack(["11\n[]", "11\n{}"])] } }).then(
					() => "taken",
					({ code }) => code,
				),
			);
		}
		expect(outcomes).toEqual(["taken", "FUNCTION_ACCESS_FORBIDDEN"]);
	});

	test("NEW-22: an endpoint's list of functions is told, what is on it runs, and what is not is refused", async () => {
		const register = (name: string) =>
			settings.client.registerFunction({
				function_name: name,
				function_code: pack([`st\n${name}:def ${name}(a, b=1):\n    return a + b\n`]),
			});
		const [allowed, other] = [await register("allowed"), await register("other")];
		const config = `workers_per_node: 1\npython: ${python.python}\nallowed_functions:\n  - ${allowed}\n`;
		const endpoint = await TestEndpoint.start(cloud, settings.client, { name: "listed", config });
		closeLater(() => endpoint.stop());
		const words = [endpoint.id, allowed, other];
		const { said } = await runProgram(python.python, program("allowed"), words, settings.environment);
		expect(said).toEqual({
			allowed: { endpoint_id: endpoint.id, restricted: true, functions: [allowed] },
			run: 42,
			other: [403, "FUNCTION_NOT_PERMITTED"],
		});
	});

	test("GC-6, NEW-11: whoever submits from another minor version of Python is warned at once, and not for source and JSON", async () => {
		const elsewhere = await pythonEnvironment(["dill==0.3.9"], { interpreter: await otherPython() });
		closeLater(() => elsewhere.remove());
		const endpoint = await endpointWith(elsewhere.python, "elsewhere");
		const { said } = await runProgram(python.python, program("skew"), [endpoint.id], settings.environment);
		expect(said).toMatchObject({ source: 3, quiet: [] });
		const [sentence, ...more] = said.sentences as string[];
		expect(more).toEqual([]);
		const versions = /^Written by Python (3\.\d+)\.\d+, .* have Python (3\.\d+)\.\d+, dill 0\.3\.9: /.exec(
			sentence ?? "",
		);
		expect(versions?.[1], sentence).not.toBe(versions?.[2]);
		expect(versions, sentence).not.toBeNull();
		const task = await settings.client.getTask(String(said.task));
		expect(task.version_skew).toBe(sentence);
		await settings.client.cancelTasks({ taskIds: [task.id] });
	});

	test("the release of a year ago does all that the newest does", async () => {
		const endpoint = await endpointWith(earlier.python, "earlier");
		const { said } = await runProgram(earlier.python, program("walk"), [endpoint.id], settings.environment);
		expect(said).toMatchObject({
			version: globusPackages.earlierSdk.split("==")[1],
			sums: Array.from({ length: 20 }, (_, n) => 2 * n),
			kept: true,
			large: 2_000_000,
			registered: 42,
			batch: [10, 11, 12, 13, 14],
			result: 2,
		});
		expect(said["shell.late"]).toEqual(["ShellResult", 124, expect.any(String), "", "subprocess.TimeoutExpired"]);
	});

	test("GC-6, NEW-11: where the SDK is missing at the endpoint, source and JSON run, and the rest says what to install where; skew is told", async () => {
		await promisify(execFile)(python.python, ["-m", "venv", "--without-pip", join(directory, "nothing")]);
		const interpreter = join(directory, "nothing", "bin", "python");
		const [nothing, dillOnly] = [
			await endpointWith(interpreter, "nothing"),
			await endpointWith(otherDill.python, "dill-only"),
		];
		const foreign = await settings.client.registerFunction({
			function_name: "written_elsewhere",
			function_code: pack([`01\n${Buffer.from("of another Python").toString("base64")}\n`]),
			meta: { python_version: "2.7.18", sdk_version: "1.0.0" },
		});
		const words = [nothing.id, dillOnly.id, foreign];
		const { said, stderr } = await runProgram(python.python, program("bare"), words, settings.environment);
		expect(said).toMatchObject({ source: 3, dill: 3, result: 3 });
		expect(said.unwritten).toMatch(/an object of type set has no JSON form/);
		const install = (path: string) => `${path} -m pip install globus-compute-sdk`;
		expect(said.dilled).toContain(install(interpreter));
		expect(said.shell).toContain(install(otherDill.python));
		expect(said.mismatch).toMatch(
			/written by Python 2\.7\.18, globus-compute-sdk 1\.0\.0 and read by Python 3\.\d+\.\d+, dill 0\.3\.7 on /,
		);
		expect(stderr).toMatch(/Workers: Python 3\.\d+\.\d+\/Dill 0\.3\.7/);
	});

	test("GC-10: MPI functions with a real mpirun, the nodes' hardware, and its owner stops and deletes an endpoint", async () => {
		await ensureDebianPackages(["openmpi-bin"]);
		const endpoint = await TestEndpoint.start(cloud, settings.client, {
			name: "machine",
			config: `workers_per_node: 2\ncores_per_node: 2\npython: ${python.python}\nmpi_launcher: mpirun\nenvironment:\n${[
				"OMPI_ALLOW_RUN_AS_ROOT",
				"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM",
			]
				.map((name) => `  ${name}: "1"\n`)
				.join("")}`,
		});
		closeLater(() => endpoint.stop());
		const registration = { endpoint_name: "spare", metadata: { errand_protocol: 1 as const } };
		const spare = (await settings.client.registerEndpoint(registration)).endpoint_id;
		const words = [endpoint.id, spare];
		const { said } = await runProgram(python.python, program("machine"), words, settings.environment);
		expect(said.mpi).toEqual([0, "ranks 2\nranks 2\n", ""]);
		expect(said.hardware).toContain("== shell: df -h ==");
		expect(said.stopped).toEqual([spare, true]);
		expect(said.deleted).toEqual({ result: 302 });
		expect(said.gone).toEqual([404, "ENDPOINT_NOT_FOUND"]);
		expect(said.endpoints).toContain(endpoint.id);
		expect(said.endpoints).not.toContain(spare);
	});
});
