import { Executor, python, RemoteError, shell } from "@errand/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Deployment, startDeployment } from "../harness/deployment.ts";
import { GlobusEndpoint, globusEndpointPackage } from "../harness/globus-endpoint.ts";
import { type PythonEnvironment, pythonEnvironment } from "../harness/python.ts";

const add = python<[number, number], number>({ source: "def add(a, b):\n    return a + b\n", name: "add" });

describe("TypeScript to an unmodified globus-compute-endpoint", () => {
	let deployment: Deployment;
	let environment: PythonEnvironment;
	let endpoint: GlobusEndpoint;
	let executor: Executor;

	beforeAll(async () => {
		environment = await pythonEnvironment([globusEndpointPackage], { everybody: true });
		deployment = await startDeployment("embedded");
		const { token } = await deployment.cloud.login("ada");
		endpoint = await GlobusEndpoint.configure(deployment.cloud, token, environment.python);
		await endpoint.start();
		executor = new Executor({ endpoint: endpoint.id, client: endpoint.client });
	}, 240_000);
	afterAll(async () => {
		await executor?.close();
		await endpoint?.remove();
		await deployment?.stop();
		await environment?.remove();
	});

	test("GC-1: a Python function runs there and its JSON comes back", async () => {
		expect(await executor.submit(add, 2, 3)).toBe(5);
	}, 60_000);

	test("GC-1: a hundred tasks come back, each with its own result", async () => {
		const sums = Array.from({ length: 100 }, (_, n) => executor.submit(add, n, 1));
		expect(await Promise.all(sums)).toEqual(sums.map((_, n) => n + 1));
	}, 60_000);

	test("GC-1: a command comes back with its code and both streams, its parameter quoted", async () => {
		const result = await executor.submit(shell("printf %s {text}; echo oops >&2; exit 3"), { text: "a b; $(id)" });
		expect(result).toMatchObject({ returncode: 3, stdout: "a b; $(id)", stderr: "oops\n" });
	}, 60_000);

	test("GC-1: a command that is out of time ends with 124", async () => {
		const result = await executor.submit(shell("sleep 30", { walltimeMs: 200 }));
		expect(result).toMatchObject({ returncode: 124, exceptionName: "subprocess.TimeoutExpired" });
	}, 60_000);

	test("GC-1: an exception comes back with its traceback", async () => {
		const fail = python<[], never>({ source: "def fail():\n    raise ValueError('no such thing')\n", name: "fail" });
		const error = await executor.submit(fail).then(
			() => undefined,
			(cause: unknown) => cause,
		);
		expect(error).toBeInstanceOf(RemoteError);
		expect(String((error as RemoteError).remoteStack)).toContain("ValueError: no such thing");
	}, 60_000);

	test("a JavaScript function is refused with a sentence", async () => {
		await expect(executor.submit((a: number) => a, 1)).rejects.toThrow(/runs Python and commands/);
	}, 60_000);
});
