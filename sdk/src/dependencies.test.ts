import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openTestCloud, type TestCloud } from "./cloud.test-harness.ts";
import { CancelledError, DependencyError, Executor, RemoteError, SerializationError, shell } from "./index.ts";

let cloud: TestCloud;
beforeEach(async () => {
	cloud = await openTestCloud();
});
afterEach(async () => {
	await cloud[Symbol.asyncDispose]();
});

const open = (): Executor => new Executor({ endpoint: "local", cloudUrl: cloud.url, token: "good" });
const add = (a: number, b: number): number => a + b;
const refuse = (): number => {
	throw new RangeError("no number");
};

describe("PAR-1: a future as an argument", () => {
	test("is waited for, and its value takes its place", async () => {
		await using executor = open();
		const sum = executor.submit(add, executor.submit(add, 1, 2), executor.submit(add, 3, 4));
		expect(await executor.submit(add, sum, sum)).toBe(20);
	});

	test("that fails keeps the task from being sent, and is named with its cause", async () => {
		await using executor = open();
		const first = executor.submit(refuse);
		const second = executor.submit(add, 1, first);
		const error = (await second.catch((reason: unknown) => reason)) as DependencyError;
		expect(error).toBeInstanceOf(DependencyError);
		expect(error).toMatchObject({
			code: "DEPENDENCY_FAILED",
			dependencyTaskId: first.taskId,
			dependencyName: "refuse",
		});
		expect(error.cause).toBeInstanceOf(RemoteError);
		expect(error.message).toContain("add was not run: its argument 2");
		expect(error.message).toContain("no number");
		expect(second.taskId).toBeUndefined();
		expect(cloud.tasks.size).toBe(1);
		const third = executor.submit(add, second, 1);
		await expect(third).rejects.toMatchObject({ cause: error });
	});

	test("whose value cannot travel rejects the task, not the caller", async () => {
		await using executor = open();
		const date = executor.submit(() => new Date(0) as unknown);
		const future = executor.submit(shell("date -d {when}"), date as never);
		await expect(future).rejects.toBeInstanceOf(SerializationError);
	});

	test("may be cancelled while it waits: nothing is sent", async () => {
		const { promise, resolve } = Promise.withResolvers<void>();
		cloud.before = () => promise;
		await using executor = open();
		const first = executor.submit(add, 1, 2);
		await first.accepted;
		const waiting = executor.submit(add, first, 1);
		expect(await waiting.status()).toBe("submitting");
		expect(await waiting.cancel()).toBe(true);
		await expect(waiting).rejects.toBeInstanceOf(CancelledError);
		resolve();
		expect(await first).toBe(3);
		await executor.drain();
		expect(cloud.tasks.size).toBe(1);
	});

	test("is part of what drain and close wait for", async () => {
		await using executor = open();
		const last = executor.submit(add, executor.submit(add, executor.submit(add, 1, 1), 1), 1);
		await executor.drain();
		expect(last.settled).toBe(true);
		expect(await last).toBe(4);
		const late = executor.submit(add, executor.submit(add, 5, 5), 1);
		await executor.close();
		expect(late.taskId).toBeDefined();
	});
});
