import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type FunctionId, idToBytes, newId, type TaskId } from "@errand/proto";
import { create, FunctionSchema, ResultBatchSchema, TaskBatchSchema, toBinary } from "@errand/proto/wire";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { silentLogger } from "../service/logger.ts";
import { Journal } from "./journal.ts";
import { readRecords } from "./record.ts";

let directory: string;
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "errand-journal-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const openJournal = (more: { segmentBytes?: number; directory?: string; rememberedTasks?: number } = {}) =>
	Journal.open({
		directory,
		log: silentLogger,
		nowMs: () => 1_000_000,
		rememberedTasks: 1000,
		rememberedMs: 3_600_000,
		...more,
	});

const functionId = newId<FunctionId>();

function batchOf(ids: readonly TaskId[], payloadBytes = 10): Uint8Array {
	return toBinary(
		TaskBatchSchema,
		create(TaskBatchSchema, {
			functions: [create(FunctionSchema, { id: idToBytes(functionId), name: "f" })],
			tasks: ids.map((id) => ({
				id: idToBytes(id),
				functionId: idToBytes(functionId),
				payload: new Uint8Array(payloadBytes),
			})),
		}),
	);
}

const resultsOf = (ids: readonly TaskId[], valueBytes = 5): Uint8Array =>
	toBinary(
		ResultBatchSchema,
		create(ResultBatchSchema, {
			results: ids.map((id) => ({
				taskId: idToBytes(id),
				outcome: { case: "value" as const, value: new Uint8Array(valueBytes) },
			})),
		}),
	);

const someIds = (count: number): TaskId[] => Array.from({ length: count }, () => newId<TaskId>());

describe("journal", () => {
	test("HQ-6: what was accepted and not finished, and what was finished and not confirmed, is there after a restart", async () => {
		const ids = someIds(4);
		const journal = await openJournal();
		expect((await journal.accept(batchOf(ids))).map((task) => task.id)).toEqual(ids);
		const first = await journal.finish(resultsOf(ids.slice(0, 1)), ids.slice(0, 1));
		await journal.finish(resultsOf(ids.slice(1, 2)), ids.slice(1, 2));
		journal.confirm(first);
		const ahead = newId<TaskId>();
		await journal.cancel([ahead, ids[3] as TaskId]);
		await journal.close();

		const again = await openJournal();
		expect(again.id).toBe(journal.id);
		expect(again.recovered.open.map((task) => task.id)).toEqual(ids.slice(2));
		expect(again.recovered.unconfirmed.map((batch) => Buffer.from(batch.bytes))).toEqual([
			Buffer.from(resultsOf(ids.slice(1, 2))),
		]);
		expect([...again.recovered.finished.keys()]).toEqual(ids.slice(0, 2));
		expect([...again.recovered.cancelled.keys()]).toEqual([ahead, ids[3]]);
		expect(again.functionOf(functionId)?.name).toBe("f");
		await again.close();
	});

	test("NEW-7: a task that comes a second time, finished or not, is not accepted again, even after restarts", async () => {
		const ids = someIds(2);
		const journal = await openJournal();
		await journal.accept(batchOf(ids));
		expect(await journal.accept(batchOf(ids))).toEqual([]);
		journal.confirm(await journal.finish(resultsOf(ids), ids));
		await journal.close();
		for (let restart = 0; restart < 3; restart++) {
			const again = await openJournal();
			expect(again.recovered.open).toEqual([]);
			expect(await again.accept(batchOf(ids))).toEqual([]);
			await again.close();
		}
		expect(readdirSync(directory).filter((name) => name.endsWith(".journal"))).toHaveLength(1);
	});

	test("GC-2: tasks may start when they are written, before the disk has them, and only those that are new", async () => {
		const ids = someIds(2);
		const journal = await openJournal();
		const steps: string[] = [];
		const accepted = journal.accept(batchOf(ids), (tasks) => steps.push(`written: ${tasks.length}`));
		await accepted.then(() => steps.push("on the disk"));
		await journal.accept(batchOf(ids), (tasks) => steps.push(`again: ${tasks.length}`));
		expect(steps).toEqual(["written: 2", "on the disk"]);
		await journal.close();
	});

	test("HQ-6: cut off at any byte, the journal opens with a prefix of what was written", async () => {
		const ids = someIds(3);
		const journal = await openJournal();
		const path = join(directory, readdirSync(directory).find((name) => name.endsWith(".journal")) as string);
		const states: { sizeBytes: number; open: TaskId[]; unconfirmed: number; finished: TaskId[] }[] = [];
		const note = (open: TaskId[], unconfirmed: number, finished: TaskId[]) =>
			states.push({ sizeBytes: readFileSync(path).length, open, unconfirmed, finished });
		note([], 0, []);
		await journal.accept(batchOf(ids.slice(0, 2)));
		note(ids.slice(0, 2), 0, []);
		const batch = await journal.finish(resultsOf(ids.slice(0, 1)), ids.slice(0, 1));
		note(ids.slice(1, 2), 1, ids.slice(0, 1));
		await journal.accept(batchOf(ids.slice(2)));
		note(ids.slice(1), 1, ids.slice(0, 1));
		journal.confirm(batch);
		await journal.close();
		note(ids.slice(1), 0, ids.slice(0, 1));
		const whole = readFileSync(path);
		const begin = states[0]?.sizeBytes as number;
		for (let size = begin; size <= whole.length; size++) {
			const copy = mkdtempSync(join(directory, "cut-"));
			writeFileSync(join(copy, "00000001.journal"), whole.subarray(0, size));
			const expected = states.filter((state) => state.sizeBytes <= size).at(-1) as (typeof states)[number];
			const cut = await openJournal({ directory: copy });
			expect(cut.recovered.open.map((task) => task.id)).toEqual(expected.open);
			expect(cut.recovered.unconfirmed).toHaveLength(expected.unconfirmed as number);
			expect([...cut.recovered.finished.keys()]).toEqual(expected.finished);
			const next = newId<TaskId>();
			await cut.accept(batchOf([next]));
			await cut.close();
			const after = await openJournal({ directory: copy });
			expect(after.recovered.open.map((task) => task.id)).toEqual([...(expected.open as TaskId[]), next]);
			await after.close();
		}
	});

	test("HQ-6: a flipped bit anywhere is noticed", async () => {
		const journal = await openJournal();
		await journal.accept(batchOf(someIds(1)));
		await journal.close();
		const path = join(directory, readdirSync(directory).find((name) => name.endsWith(".journal")) as string);
		const whole = readFileSync(path);
		const sound = readRecords(whole).records.length;
		for (let at = 0; at < whole.length; at++) {
			const damaged = Uint8Array.from(whole);
			damaged[at] = (damaged[at] as number) ^ 0x10;
			expect(readRecords(damaged).records.length).toBeLessThan(sound);
		}
	});

	test("segments whose tasks have ended go; one that has been waiting for long moves along", async () => {
		const journal = await openJournal({ segmentBytes: 20_000, rememberedTasks: 20 });
		const [stays] = someIds(1) as [TaskId];
		await journal.accept(batchOf([stays]));
		for (let round = 0; round < 200; round++) {
			const ids = someIds(5);
			await journal.accept(batchOf(ids, 500));
			journal.confirm(await journal.finish(resultsOf(ids), ids));
		}
		await journal.close();
		expect(readdirSync(directory).filter((name) => name.endsWith(".journal")).length).toBeLessThan(6);
		const again = await openJournal();
		expect(again.recovered.open.map((task) => task.id)).toEqual([stays]);
		expect(again.recovered.unconfirmed).toEqual([]);
		expect(again.recovered.open[0]?.task.payload.length).toBe(10);
		await again.close();
	});

	test("HQ-8: how often a task was lost survives restarts and the moving of segments", async () => {
		const [poison] = someIds(1) as [TaskId];
		const journal = await openJournal();
		await journal.accept(batchOf([poison]));
		journal.lose(poison, { all: 1, whileRunning: 1 });
		journal.lose(poison, { all: 3, whileRunning: 2 });
		await journal.close();
		for (let restart = 0; restart < 3; restart++) {
			const again = await openJournal();
			expect(again.recovered.open.map(({ id, losses }) => ({ id, losses }))).toEqual([
				{ id: poison, losses: { all: 3, whileRunning: 2 } },
			]);
			const others = someIds(20);
			await again.accept(batchOf(others, 500));
			again.confirm(await again.finish(resultsOf(others), others));
			await again.close();
		}
	});

	test("many records at once cost few writes and keep their order", async () => {
		const journal = await openJournal();
		const ids = someIds(3000);
		await Promise.all(ids.map((id) => journal.accept(batchOf([id]))));
		await journal.close();
		const again = await openJournal();
		expect(again.recovered.open.map((task) => task.id)).toEqual(ids);
		await again.close();
	});

	test("bytes that are no batch are refused and leave no trace", async () => {
		const journal = await openJournal();
		await expect(journal.accept(new Uint8Array([255, 255, 255]))).rejects.toThrow(RangeError);
		const orphan = toBinary(
			TaskBatchSchema,
			create(TaskBatchSchema, { tasks: [{ id: idToBytes(newId()), functionId: idToBytes(newId()) }] }),
		);
		await expect(journal.accept(orphan)).rejects.toThrow("is named and not in the batch");
		await journal.close();
		const again = await openJournal();
		expect(again.recovered.open).toEqual([]);
		await again.close();
	});
});
