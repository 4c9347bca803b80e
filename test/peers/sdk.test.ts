import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Deployment, deploymentNames, startDeployment } from "../harness/deployment.ts";
import { TestEndpoint } from "../harness/endpoint.ts";
import { type GlobusSettings, globusPackages, globusSettings, type ProgramEnd, runProgram } from "../harness/globus.ts";
import { type PythonEnvironment, pythonEnvironment } from "../harness/python.ts";

const program = (name: string): string => fileURLToPath(new URL(`./${name}.py`, import.meta.url));

let python: PythonEnvironment;
beforeAll(async () => {
	python = await pythonEnvironment([globusPackages.sdk]);
}, 300_000);
afterAll(() => python?.remove());

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
		expect(said("status")).toMatchObject({ status: "online", details: { total_workers: 4 } });
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
