import { idFromBytes, idToBytes, isFinal, mayFollow, type TaskGroupId, type TaskId } from "@errand/proto";
import type { TaskState } from "@errand/proto/wire";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import {
	FakeBus,
	openTestCloud,
	openTestDatabase,
	packedArguments,
	type ResultInit,
	settle,
	success,
	type TestCloud,
	type TestDatabase,
} from "./operations/test-cloud.ts";

let server: TestDatabase;
const clouds: TestCloud[] = [];

beforeAll(async () => {
	server = await openTestDatabase();
});
afterEach(async () => {
	for (const cloud of clouds.splice(0).reverse()) await cloud.close();
});
afterAll(async () => {
	await server?.close();
});

async function start(options: Parameters<typeof openTestCloud>[1] = {}): Promise<TestCloud> {
	const cloud = await openTestCloud(server, options);
	clouds.push(cloud);
	return cloud;
}

const packed = (count: number): string[] => Array.from({ length: count }, (_, n) => packedArguments(n));

test("NEW-7: what a killed cloud recorded and did not publish is published by the next one, and nothing it had published", async () => {
	const doomed = await openTestCloud(server);
	const home = await settle(doomed);
	const submit = (count: number) =>
		doomed.operations.submit(home.caller, home.endpoint, { tasks: { [home.fn]: packed(count) } }, undefined);
	await submit(3);
	// The watermark is written with the lease; after that the broker takes nothing any more.
	await doomed.database.query("update dispatchers set watermark = (select max(seq) from tasks)");
	doomed.bus.stalled = true;
	const recorded = new Promise((resolve) => doomed.events.once("tasks:submitted", resolve));
	const unanswered = submit(2);
	unanswered.catch(() => undefined);
	await recorded;
	await doomed.abandon();

	const bus = new FakeBus();
	const next = await start({ alone: true, bus });
	await bus.until(() => bus.tasks(home.endpoint).length >= 2);
	const rows = await next.operations.listTasks(home.caller, { limit: 10 });
	expect(bus.tasks(home.endpoint).map((task) => idFromBytes(task.id))).toEqual(
		rows.items
			.slice(0, 2)
			.map((row) => row.id)
			.toReversed(),
	);
});

test("cloud processes on one database tell each other whose results are new", async () => {
	const one = await start();
	const two = await start();
	const home = await settle(one);
	const reply = await one.operations.submit(home.caller, home.endpoint, { tasks: { [home.fn]: packed(1) } }, undefined);
	const heard = new Promise<TaskGroupId>((resolve) =>
		two.events.once("results:elsewhere", ({ group }) => resolve(group)),
	);
	await one.bus.results(home.endpoint, [success(Object.values(reply.tasks).flat()[0] as string, "11\n1")]);
	expect(await heard).toBe(reply.task_group_id);
	expect((await one.operations.resultsAfter(reply.task_group_id as TaskGroupId, 0n, 5)).results).toHaveLength(1);
});

test("a reader that goes on from its cursor misses nothing while two cloud processes record into one group", async () => {
	const [one, two] = [await start(), await start()];
	const home = await settle(one);
	const reply = await one.operations.submit(
		home.caller,
		home.endpoint,
		{ tasks: { [home.fn]: packed(2_000) } },
		undefined,
	);
	const ids = Object.values(reply.tasks).flat();
	for (let at = 0; at < ids.length; at += 10) {
		const some = ids.slice(at, at + 10).map((id) => success(id, "11\n1"));
		await (at % 20 === 0 ? one : two).bus.results(home.endpoint, some);
	}
	const read: string[] = [];
	for (let cursor = 0n; read.length < ids.length; ) {
		const page = await one.operations.resultsAfter(reply.task_group_id as TaskGroupId, cursor, 100);
		read.push(...page.results.map((result) => result.task_id));
		cursor = page.cursors.at(-1) ?? cursor;
	}
	expect(new Set(read)).toEqual(new Set(ids));
});

test("NEW-7: results that arrive while PostgreSQL is killed are recorded once each and all told", async () => {
	const cloud = await start();
	const home = await settle(cloud);
	const reply = await cloud.operations.submit(
		home.caller,
		home.endpoint,
		{ tasks: { [home.fn]: packed(2_000) } },
		undefined,
	);
	const ids = Object.values(reply.tasks).flat();
	const told = new Map<string, bigint>();
	const all = new Promise<void>((resolve) =>
		cloud.events.on("results:recorded", ({ cursors, results }) => {
			for (const [n, result] of results.entries()) told.set(result.task_id, cursors[n] as bigint);
			if (told.size === ids.length) resolve();
		}),
	);
	for (let at = 0; at < ids.length; at += 100) {
		await cloud.bus.results(
			home.endpoint,
			ids.slice(at, at + 100).map((id) => success(id, "11\n1")),
		);
		if (at === 500) process.kill(server.pid() as number, "SIGKILL");
	}
	await all;
	const cursors: bigint[] = [];
	for (let after = 0n; ; after = cursors.at(-1) as bigint) {
		const page = await cloud.operations.resultsAfter(reply.task_group_id as TaskGroupId, after, 500);
		cursors.push(...page.cursors);
		if (page.cursors.length < 500) break;
	}
	expect(cursors).toHaveLength(ids.length);
	expect(new Set(cursors)).toEqual(new Set(told.values()));
});

const endings = (id: TaskId): { readonly [How in "success" | "failed" | "cancelled"]: ResultInit } => ({
	success: success(id, "11\n1"),
	failed: { taskId: idToBytes(id), outcome: { case: "failure", value: { code: "FUNCTION_FAILED" } } },
	cancelled: { taskId: idToBytes(id), cancelled: true },
});

test("BAL-2: whatever the order of events, a task only takes steps of the published table, each told once, and ends once", async () => {
	const cloud = await start();
	const home = await settle(cloud);
	const action = fc.oneof(
		fc.record({
			kind: fc.constant("report" as const),
			state: fc.constantFrom(...[1, 2, 3, 4, 5, 6, 7].map((n) => n as TaskState)),
			by: fc.constantFrom("own" as const, "other" as const),
		}),
		fc.record({
			kind: fc.constant("result" as const),
			how: fc.constantFrom("success" as const, "failed" as const, "cancelled" as const),
			by: fc.constantFrom("own" as const, "other" as const),
		}),
		fc.record({ kind: fc.constant("cancel" as const) }),
		fc.record({ kind: fc.constant("heartbeat" as const), active: fc.boolean() }),
	);
	const other = await settle(cloud);
	await fc.assert(
		fc.asyncProperty(fc.array(action, { minLength: 1, maxLength: 12 }), async (actions) => {
			const reply = await cloud.operations.submit(
				home.caller,
				home.endpoint,
				{ tasks: { [home.fn]: packed(1) } },
				undefined,
			);
			const id = Object.values(reply.tasks).flat()[0] as TaskId;
			const taskId = idToBytes(id);
			const told: string[] = [];
			const onState = ({ frame }: { frame: { type: string; state?: string; task_id?: string } }): void => {
				if (frame.type === "state" && frame.task_id === id) told.push(frame.state as string);
			};
			const onResult = ({ results }: { results: readonly { task_id: string; state: string }[] }): void => {
				for (const result of results) if (result.task_id === id) told.push(result.state);
			};
			cloud.events.on("task:reported", onState);
			cloud.events.on("results:recorded", onResult);
			for (const step of actions) {
				if (step.kind === "cancel") await cloud.operations.cancelTasks(home.caller, { taskIds: [id] });
				else if (step.kind === "heartbeat")
					await cloud.bus.heartbeat(home.endpoint, { heartbeat_period: step.active ? 30 : 0, active: step.active });
				else {
					const from = step.by === "own" ? home.endpoint : other.endpoint;
					if (step.kind === "report")
						await cloud.bus.reports(from, [
							{ taskId, atUs: 1e15, event: { case: "state", value: { state: step.state, host: "", reason: "" } } },
						]);
					else await cloud.bus.taken(await cloud.bus.results(from, [endings(id)[step.how]]));
				}
			}
			cloud.events.off("task:reported", onState);
			cloud.events.off("results:recorded", onResult);
			const whole = await cloud.operations.getTask(home.caller, id);
			const path = whole.transitions.map((transition) => transition.state);
			for (const [n, state] of path.entries())
				if (n > 0) expect(mayFollow(path[n - 1] as (typeof path)[0], state)).toBe(true);
			expect(path.at(-1)).toBe(whole.state);
			expect(told).toEqual(path.slice(1));
			expect(told.filter((state) => isFinal(state as (typeof path)[0])).length).toBeLessThanOrEqual(1);
		}),
		{ numRuns: 60 },
	);
});
