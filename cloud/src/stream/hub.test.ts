import { newId, type TaskGroupId } from "@errand/proto";
import type { StreamFrame } from "@errand/proto/rest";
import fc from "fast-check";
import { expect, test } from "vitest";
import { FakeResults, someResult } from "../http/fake-operations.ts";
import { CloudEventBus } from "../observe/events.ts";
import { createLog } from "../observe/log.ts";
import { type Hub, openHub, type Reader } from "./hub.ts";

const log = createLog({ level: "silent" });

/** Lets every promise that can settle do so. */
async function settle(): Promise<void> {
	for (let i = 0; i < 30; i++) await Promise.resolve();
}

class Client {
	readonly frames: StreamFrame[] = [];
	bufferedBytes = 0;
	reader: Reader;

	constructor(hub: Hub) {
		this.reader = hub.connect(this);
	}

	send(text: string): void {
		this.frames.push(JSON.parse(text));
	}

	taskIds(group: TaskGroupId): string[] {
		return this.frames.flatMap((frame) =>
			frame.type === "results" && frame.group === group ? frame.results.map((result) => result.task_id) : [],
		);
	}
}

/** A store and its events: what is recorded is committed, then told. */
function openStore(options: { alone?: boolean } = {}) {
	const events = new CloudEventBus();
	const results = new FakeResults();
	const later: (() => void)[] = [];
	const hub = openHub({
		events,
		resultsAfter: results.after,
		log,
		alone: options.alone ?? true,
		later: (run) => void later.push(run),
	});
	let cursor = 0n;
	const commit = (group: TaskGroupId, count: number, value?: string) => {
		const rows = Array.from({ length: count }, () => ({ cursor: ++cursor, result: someResult(value) }));
		for (const row of rows) results.add(group, row.cursor, row.result);
		return rows;
	};
	const record = (group: TaskGroupId, count: number, value?: string): string[] => {
		const rows = commit(group, count, value);
		events.emit("results:recorded", {
			group,
			cursors: rows.map((row) => row.cursor),
			results: rows.map((row) => row.result),
		});
		return rows.map((row) => row.result.task_id);
	};
	return { events, results, hub, commit, record, later };
}

const none = new Set<never>();

test("a reader gets what was recorded before it came, and then what is recorded, in order and without a read each", async () => {
	const { hub, record, results } = openStore();
	const group = newId<TaskGroupId>();
	const expected = record(group, 250);
	const client = new Client(hub);
	client.reader.subscribe(group, 0n, none);
	await settle();
	const readsBefore = results.reads;
	expected.push(...record(group, 3), ...record(group, 1));
	await settle();
	expect(client.taskIds(group)).toEqual(expected);
	expect(results.reads).toBe(readsBefore);
	expect(client.frames[0]).toEqual({ type: "subscribed", group, cursor: "0" });
});

test("a reader without credit is sent nothing more, costs no memory, and goes on where it was when it grants some", async () => {
	const { hub, record, results } = openStore();
	const group = newId<TaskGroupId>();
	const client = new Client(hub);
	client.reader.subscribe(group, 0n, none);
	await settle();
	const expected: string[] = [];
	for (let i = 0; i < 100; i++) expected.push(...record(group, 1));
	await settle();
	expect(client.taskIds(group)).toEqual(expected.slice(0, 64));
	const readsBefore = results.reads;
	for (let i = 0; i < 1000; i++) expected.push(...record(group, 1));
	await settle();
	expect(results.reads).toBe(readsBefore);
	expect(client.taskIds(group)).toHaveLength(64);
	client.reader.grant(100);
	await settle();
	expect(client.taskIds(group)).toEqual(expected);
});

test("a reader that leaves bytes in its buffer is sent nothing, and told how many other frames it missed", async () => {
	const { hub, record, events } = openStore();
	const group = newId<TaskGroupId>();
	const client = new Client(hub);
	client.reader.subscribe(group, 0n, new Set(["progress"] as const));
	await settle();
	client.bufferedBytes = 2 ** 20;
	const frame = { type: "progress", group, task_id: newId<never>(), fraction: 0.5, message: "" } as const;
	for (let i = 0; i < 7; i++) events.emit("task:reported", { group, frame });
	const expected = record(group, 5);
	await settle();
	expect(client.frames.map((sent) => sent.type)).toEqual(["subscribed"]);
	expect(hub.stats().droppedFrames).toBe(7);
	client.bufferedBytes = 0;
	client.reader.drained();
	await settle();
	expect(client.taskIds(group)).toEqual(expected);
	expect(client.frames.filter((sent) => sent.type === "dropped")).toEqual([{ type: "dropped", group, frames: 7 }]);
});

test("large results are cut into frames of about 256 KB, a larger one goes alone", async () => {
	const { hub, record } = openStore();
	const group = newId<TaskGroupId>();
	record(group, 5, "x".repeat(100_000));
	record(group, 1, "x".repeat(400_000));
	const client = new Client(hub);
	client.reader.subscribe(group, 0n, none);
	await settle();
	const sizes = client.frames.flatMap((frame) => (frame.type === "results" ? [frame.results.length] : []));
	expect(sizes).toEqual([2, 2, 1, 1]);
});

test("frames that were not asked for are not sent", async () => {
	const { hub, events } = openStore();
	const group = newId<TaskGroupId>();
	const client = new Client(hub);
	client.reader.subscribe(group, 0n, new Set(["state"] as const));
	await settle();
	events.emit("task:reported", {
		group,
		frame: { type: "progress", group, task_id: newId<never>(), fraction: 1, message: "" },
	});
	expect(client.frames).toHaveLength(1);
});

test("a failing store is asked again later, and nothing is lost", async () => {
	const { hub, record, results, later } = openStore();
	const group = newId<TaskGroupId>();
	const expected = record(group, 3);
	const after = results.after;
	let failures = 2;
	const failing = openHub({
		events: new CloudEventBus(),
		resultsAfter: async (...args) => {
			if (failures-- > 0) throw new Error("connection lost");
			return after(...args);
		},
		log,
		alone: true,
		later: (run) => void later.push(run),
	});
	hub.close();
	const client = new Client(failing);
	client.reader.subscribe(group, 0n, none);
	for (let i = 0; i < 2; i++) {
		await settle();
		expect(client.taskIds(group)).toEqual([]);
		later.shift()?.();
	}
	await settle();
	expect(client.taskIds(group)).toEqual(expected);
	failing.close();
});

test("with a second cloud process, an event only wakes the reader: cursors that arrive out of order are not passed over", async () => {
	const { hub, results, events } = openStore({ alone: false });
	const group = newId<TaskGroupId>();
	const client = new Client(hub);
	client.reader.subscribe(group, 0n, none);
	await settle();
	const [five, six] = [someResult(), someResult()];
	// The other process committed 5 first; our own event, of 6, is the first that is heard.
	results.add(group, 5n, five);
	results.add(group, 6n, six);
	events.emit("results:recorded", { group, cursors: [6n], results: [six] });
	events.emit("results:elsewhere", { group });
	await settle();
	expect(client.taskIds(group)).toEqual([five.task_id, six.task_id]);
});

test("after a recording of unknown outcome nobody is handed a later result before the earlier one", async () => {
	const { hub, commit, record, events } = openStore();
	const [group, other] = [newId<TaskGroupId>(), newId<TaskGroupId>()];
	const client = new Client(hub);
	for (const id of [group, other]) client.reader.subscribe(id, 0n, none);
	await settle();
	events.emit("results:uncertain");
	await settle();
	// It had been committed after all, and is not told; the next recording is.
	const silent = [commit(group, 1), commit(other, 1)].map(([row]) => row?.result.task_id);
	const told = record(group, 1);
	await settle();
	expect(client.taskIds(group)).toEqual([silent[0], ...told]);
	expect(client.taskIds(other)).toEqual([silent[1]]);
});

test("every interleaving of recording, subscribing, leaving and granting delivers each result at least once, in order, and none of a foreign group", async () => {
	const groups = [newId<TaskGroupId>(), newId<TaskGroupId>(), newId<TaskGroupId>()] as const;
	const group = fc.integer({ min: 0, max: 2 });
	const step = fc.oneof(
		fc.record({ do: fc.constant("record" as const), group, count: fc.integer({ min: 1, max: 130 }) }),
		fc.record({ do: fc.constant("elsewhere" as const), group, count: fc.integer({ min: 1, max: 5 }) }),
		fc.record({ do: fc.constant("subscribe" as const), group }),
		fc.record({ do: fc.constant("unsubscribe" as const), group }),
		fc.record({ do: fc.constant("disconnect" as const) }),
		fc.record({ do: fc.constant("grant" as const), frames: fc.integer({ min: 1, max: 3 }) }),
		fc.record({ do: fc.constant("stuff" as const) }),
		fc.record({ do: fc.constant("drain" as const) }),
		fc.record({ do: fc.constant("tell" as const) }),
		fc.record({ do: fc.constant("fail" as const), group, committed: fc.boolean() }),
		fc.record({ do: fc.constant("settle" as const) }),
	);
	await fc.assert(
		fc.asyncProperty(fc.boolean(), fc.array(step, { maxLength: 40 }), async (alone, steps) => {
			const { hub, record, commit, events } = openStore({ alone });
			const recorded = new Map<TaskGroupId, string[]>(groups.map((id) => [id, []]));
			/** What the client has handled over all its connections, and its cursor for each group. */
			const handled = new Map<TaskGroupId, string[]>(groups.map((id) => [id, []]));
			const cursors = new Map<TaskGroupId, string>(groups.map((id) => [id, "0"]));
			const wanted = new Set<TaskGroupId>();
			/** Groups in which another process committed something that has not been told yet. */
			const untold = new Set<TaskGroupId>();
			const tell = (): void => {
				for (const id of untold) events.emit("results:elsewhere", { group: id });
				untold.clear();
			};
			let client = new Client(hub);
			const take = (): void => {
				for (const frame of client.frames.splice(0)) {
					if (frame.type !== "results") continue;
					expect(wanted).toContain(frame.group);
					handled.get(frame.group as TaskGroupId)?.push(...frame.results.map((result) => result.task_id));
					cursors.set(frame.group as TaskGroupId, frame.cursor);
				}
			};
			const subscribe = (id: TaskGroupId): void => {
				take();
				wanted.add(id);
				client.reader.subscribe(id, BigInt(cursors.get(id) as string), none);
			};
			const connect = (): void => {
				take();
				client.reader.close();
				client = new Client(hub);
				for (const id of wanted) subscribe(id);
			};
			for (const one of steps) {
				const id = "group" in one ? (groups[one.group] as TaskGroupId) : groups[0];
				if (one.do === "record") recorded.get(id)?.push(...record(id, one.count));
				else if (one.do === "elsewhere" && !alone) {
					recorded.get(id)?.push(...commit(id, one.count).map((row) => row.result.task_id));
					untold.add(id);
				} else if (one.do === "tell") tell();
				else if (one.do === "fail") {
					events.emit("results:uncertain");
					if (one.committed) recorded.get(id)?.push(...commit(id, 1).map((row) => row.result.task_id));
					recorded.get(groups[0])?.push(...record(groups[0], 1));
				} else if (one.do === "subscribe") subscribe(id);
				else if (one.do === "unsubscribe") {
					take();
					wanted.delete(id);
					client.reader.unsubscribe(id);
				} else if (one.do === "disconnect") connect();
				else if (one.do === "grant") client.reader.grant(one.frames);
				else if (one.do === "stuff") client.bufferedBytes = 2 ** 20;
				else if (one.do === "drain") {
					client.bufferedBytes = 0;
					client.reader.drained();
				} else await settle();
			}
			if (steps.length % 2 === 0) {
				for (const id of groups) wanted.add(id);
				connect();
			} else for (const id of groups) if (!wanted.has(id)) subscribe(id);
			client.bufferedBytes = 0;
			client.reader.drained();
			tell();
			client.reader.grant(10_000);
			for (let i = 0; i < 20; i++) await settle();
			take();
			for (const id of groups) {
				expect([...new Set(handled.get(id))]).toEqual(recorded.get(id));
			}
			hub.close();
		}),
		{ numRuns: 150 },
	);
});
