import { Executor, python, RemoteError, shell } from "@errand/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Deployment, deploymentNames, startDeployment } from "../harness/deployment.ts";
import { GlobusEndpoint, globusEndpointPackage, threadTemplate } from "../harness/globus-endpoint.ts";
import { type PythonEnvironment, pythonEnvironment } from "../harness/python.ts";

const add = python<[number, number], number>({ source: "def add(a, b):\n    return a + b\n", name: "add" });

async function causeOf(work: PromiseLike<unknown>): Promise<unknown> {
	try {
		return await work.then(() => undefined);
	} catch (cause) {
		return cause;
	}
}

describe.each(deploymentNames)("an unmodified globus-compute-endpoint at the %s deployment", (deploymentName) => {
	let deployment: Deployment;
	let environment: PythonEnvironment;
	let endpoint: GlobusEndpoint;
	let executor: Executor;

	beforeAll(async () => {
		environment = await pythonEnvironment([globusEndpointPackage], { everybody: true });
		deployment = await startDeployment(deploymentName);
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
	}, 60_000);

	test("NEW-29: a template that cannot be filled is told to whoever submits, in the daemon's words", async () => {
		endpoint.write("user_config_template.yaml.j2", `${threadTemplate}# {{ project }}\n`);
		const fn = await endpoint.client.registerFunction({ function_name: "add", function_code: await add.code() });
		const submitted = endpoint.client.submit(endpoint.id, { tasks: { [fn]: [add.packArguments([1, 2])] } });
		expect(await causeOf(submitted)).toMatchObject({
			code: "SEMANTICALLY_INVALID",
			httpStatus: 422,
			message: expect.stringContaining("'project' is undefined"),
		});
		endpoint.write("user_config_template.yaml.j2", threadTemplate);
	}, 60_000);

	test("NEW-29: a Python function runs there and its JSON comes back", async () => {
		expect(await executor.submit(add, 2, 3)).toBe(5);
	}, 60_000);

	test("NEW-29: a hundred tasks come back, each with its own result", async () => {
		const sums = Array.from({ length: 100 }, (_, n) => executor.submit(add, n, 1));
		expect(await Promise.all(sums)).toEqual(sums.map((_, n) => n + 1));
	}, 60_000);

	// The rest is the same whatever the broker is; it comes before the restart, which forbids it.
	if (deploymentName === "embedded") {
		test("arguments that travel by reference elsewhere arrive there whole", async () => {
			const size = python<[string], number>({ source: "def size(text):\n    return len(text)\n", name: "size" });
			expect(await executor.submit(size, "é".repeat(300_000))).toBe(300_000);
		}, 60_000);

		test("GC-10: a command comes back with its code and both streams, its parameter quoted", async () => {
			const result = await executor.submit(shell("printf %s {text}; echo oops >&2; exit 3"), { text: "a b; $(id)" });
			expect(result).toMatchObject({ returncode: 3, stdout: "a b; $(id)", stderr: "oops\n" });
		}, 60_000);

		test("GC-10: a command that is out of time ends with 124", async () => {
			const result = await executor.submit(shell("sleep 30", { walltimeMs: 200 }));
			expect(result).toMatchObject({ returncode: 124, exceptionName: "subprocess.TimeoutExpired" });
		}, 60_000);

		test("an exception comes back with its traceback", async () => {
			const fail = python<[], never>({ source: "def fail():\n    raise ValueError('no such thing')\n", name: "fail" });
			const error = await causeOf(executor.submit(fail));
			expect(error).toBeInstanceOf(RemoteError);
			expect((error as RemoteError).remoteStack).toContain("ValueError: no such thing");
		}, 60_000);

		test("a value that the template's schema forbids is told to whoever submits", async () => {
			const fn = await endpoint.client.registerFunction({ function_name: "add", function_code: await add.code() });
			const submitted = endpoint.client.submit(endpoint.id, {
				tasks: { [fn]: [add.packArguments([1, 2])] },
				user_endpoint_config: { workers: "many" },
			});
			expect(await causeOf(submitted)).toMatchObject({
				httpStatus: 422,
				message: expect.stringContaining("'many' is not of type 'integer'"),
			});
		}, 60_000);
	}

	test("NEW-29: a stopped daemon is offline; what is submitted meanwhile runs when it is back under its id, and what its configuration now forbids is refused", async () => {
		const { client, id } = endpoint;
		const fn = await client.registerFunction({ function_name: "add", function_code: await add.code() });
		const tasks = [add.packArguments([20, 22])];
		await endpoint.stop();
		await endpoint.untilStatus("offline");
		const { tasks: ids } = await client.submit(id, { tasks: { [fn]: tasks } });
		endpoint.write("config.yaml", `${endpoint.read("config.yaml")}allowed_functions:\n  - ${fn}\n`);
		await endpoint.start();
		expect(endpoint.id).toBe(id);
		const [task = ""] = ids[fn] ?? [];
		await expect.poll(async () => (await client.getTask(task)).result, { timeout: 40_000 }).toBe("11\n42");
		const other = await client.registerFunction({ function_name: "add", function_code: await add.code() });
		expect(await causeOf(client.submit(id, { tasks: { [other]: tasks } }))).toMatchObject({
			code: "FUNCTION_NOT_PERMITTED",
			httpStatus: 403,
		});
	}, 60_000);

	if (deploymentName !== "embedded") return;

	test("NEW-29: stopped from afar it ends, does not start again while it is locked, and can be deleted", async () => {
		await endpoint.lock();
		await endpoint.process.exit();
		await expect(endpoint.start()).rejects.toThrow(/locked until/);
		expect(await endpoint.process.exit()).toBe(69);
		const { client, id } = endpoint;
		await endpoint.command("delete", "--yes", endpoint.name);
		expect(await causeOf(client.getEndpoint(id))).toMatchObject({ code: "ENDPOINT_NOT_FOUND" });
	}, 60_000);
});
