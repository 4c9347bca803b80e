import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { CancelledError, type Client, Executor, python, RemoteError, shell, TimeoutError } from "@errand/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Deployment, deploymentNames, startDeployment } from "../harness/deployment.ts";
import { TestEndpoint } from "../harness/endpoint.ts";

describe.each(deploymentNames)("the story on the %s deployment", (name) => {
	let deployment: Deployment;
	let client: Client;
	let endpoint: TestEndpoint;
	let executor: Executor;

	beforeAll(async () => {
		deployment = await startDeployment(name);
		({ client } = await deployment.cloud.login("ada"));
		endpoint = await TestEndpoint.start(deployment.cloud, client);
		executor = new Executor({ endpoint: "local", client });
	});
	afterAll(async () => {
		await executor?.close();
		await endpoint?.stop();
		await deployment?.stop();
	});

	test("NEW-12: a function comes back as a typed future", async () => {
		const sum = executor.submit((a: number, b: number) => a + b, 2, 3);
		expect(await sum).toBe(5);
		expect(await sum.status()).toBe("success");
		expect(sum.taskId).toMatch(/^[0-9a-f-]{36}$/);
	});

	test("GC-2: results are pushed: a warm task needs no polling", async () => {
		const started = performance.now();
		for (let i = 0; i < 20; i++) expect(await executor.submit((x: number) => x, i)).toBe(i);
		// A client that polled every second would need 20 of them.
		expect(performance.now() - started).toBeLessThan(10_000);
	});

	test("values keep what structured clone keeps between TypeScript ends", async () => {
		const value = {
			date: new Date(0),
			map: new Map([["a", new Set([1n])]]),
			bytes: new Uint8Array([1, 2, 3]),
			error: new TypeError("no"),
			none: undefined,
		};
		const back = await executor.submit((v: typeof value) => v, value);
		expect(back).toEqual(value);
		expect(back.error).toBeInstanceOf(Error);
	});

	test("a Python function runs from its source", async () => {
		const mean = python({ source: "def mean(xs):\n    return sum(xs) / len(xs)\n", name: "mean" });
		expect(await executor.submit(mean, [1, 2, 3])).toBe(2);
	});

	test("a command returns its code and both streams, with its parameter quoted", async () => {
		const result = await executor.submit(shell("printf %s {text}; echo oops >&2; exit 3"), { text: "a b; $(id)" });
		expect(result).toMatchObject({ returncode: 3, stdout: "a b; $(id)", stderr: "oops\n" });
	});

	test("NEW-2: output arrives while the function runs", async () => {
		const gate = join(deployment.cloud.home, "gate");
		const future = executor.submit(async (path: string) => {
			const { existsSync } = await import("node:fs");
			console.log("waiting");
			while (!existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 20));
			console.log("done");
			return "ended";
		}, gate);
		const lines: string[] = [];
		for await (const line of future.stdout()) {
			lines.push(line);
			// The function ends only after this line has been seen here.
			if (line === "waiting") writeFileSync(gate, "");
		}
		expect(lines).toEqual(["waiting", "done"]);
		expect(await future).toBe("ended");
	});

	test("map keeps the order, or gives what is ready first", async () => {
		const squares: number[] = [];
		for await (const y of executor.map((x: number) => x * x, [1, 2, 3])) squares.push(y);
		expect(squares).toEqual([1, 4, 9]);
		const unordered: number[] = [];
		for await (const y of executor.map((x: number) => x, [3, 1, 2], { ordered: false })) unordered.push(y);
		expect(unordered.sort()).toEqual([1, 2, 3]);
	});

	test("a function that throws says so with its own stack", async () => {
		function outer(): never {
			throw new RangeError("too far");
		}
		const failure = await executor.submit(outer).catch((error: unknown) => error);
		expect(failure).toBeInstanceOf(RemoteError);
		expect(failure).toMatchObject({ remoteName: "RangeError", message: expect.stringContaining("too far") });
		expect((failure as RemoteError).remoteStack).toContain("outer");
	});

	test("GC-7, NEW-5: a running task is cancelled, and its process is gone", async () => {
		const future = executor.submit(shell("echo $$; sleep 600"));
		let pid = 0;
		for await (const line of future.stdout()) {
			pid = Number(line);
			void future.cancel();
		}
		await expect(future).rejects.toBeInstanceOf(CancelledError);
		expect(await future.status()).toBe("cancelled");
		expect(() => process.kill(pid, 0)).toThrow();
	});

	test("NEW-6: a walltime ends a function and a command in their own ways", async () => {
		const brief = new Executor({ endpoint: "local", client, walltimeMs: 300 });
		await expect(
			brief.submit(() => {
				for (;;);
			}),
		).rejects.toBeInstanceOf(TimeoutError);
		await brief.close();
		const command = await executor.submit(shell("echo begun; sleep 600", { walltimeMs: 300 }));
		expect(command).toMatchObject({ returncode: 124, stdout: "begun\n" });
	});

	test("GC-4, NEW-14: values above the inline limit travel by reference, both ways", async () => {
		const big = "x".repeat(3_000_000);
		const back = await executor.submit((text: string) => text.replaceAll("x", "y"), big);
		expect(back).toBe("y".repeat(3_000_000));
	});

	test("GC-1: another process with the same login gets the results of a group by its id", async () => {
		const first = new Executor({ endpoint: "local", client });
		const futures = [1, 2, 3].map((x) => first.submit((y: number) => y * 10, x));
		await Promise.all(futures);
		const failing = first.submit(() => {
			throw new Error("kept");
		});
		await failing.catch(() => undefined);
		await first.close();
		const again = await Executor.reload({ taskGroup: first.taskGroup, client });
		const values = await Promise.allSettled([...again]);
		expect(values.map((v) => (v.status === "fulfilled" ? v.value : v.reason.message))).toEqual(
			expect.arrayContaining([10, 20, 30, expect.stringContaining("kept")]),
		);
		expect(values).toHaveLength(4);
	});

	test("GC-3: 10,000 tasks go out in few requests and all come back", async () => {
		let sum = 0;
		for await (const y of executor.map(
			(x: number) => x + 1,
			Array.from({ length: 10_000 }, (_, i) => i),
		))
			sum += y;
		expect(sum).toBe(50_005_000);
	});
});
