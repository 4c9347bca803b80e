import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { idFromBytes, type TaskId } from "@errand/proto";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { broken } from "../../../test/harness/broken-bytes.ts";
import { fuzzing, fuzzTimeoutMs } from "../../../test/harness/fuzz.ts";
import { interchangeDefaults } from "../interchange/interchange.ts";
import { batchOf } from "../service/daemon.test-harness.ts";
import { silentLogger } from "../service/logger.ts";
import { Journal } from "./journal.ts";

let directory: string;
const open = () => Journal.open({ ...interchangeDefaults, directory, log: silentLogger, nowMs: Date.now });

beforeAll(() => {
	directory = mkdtempSync(join(tmpdir(), "errand-journal-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

// Any other error than a RangeError ends the daemon, and the broker would deliver the message to the next one.
test("HQ-6: whatever a task message is, it is taken or refused as no batch, and the journal goes on and opens again", {
	timeout: fuzzTimeoutMs(60_000),
}, async () => {
	const journal = await open();
	const known = new Set<TaskId>();
	const wholes = [batchOf("export const f = () => 1;", [[1], [2]]).bytes, batchOf("export const f = 2;", [[]]).bytes];
	await fc.assert(
		fc.asyncProperty(broken(wholes), async (bytes) => {
			const taken = await journal.accept(bytes).catch((error: unknown) => {
				expect(error).toBeInstanceOf(RangeError);
				return [];
			});
			for (const { task } of taken) known.add(idFromBytes(task.id));
			const good = batchOf("export const f = () => 1;", [[]]);
			expect((await journal.accept(good.bytes)).map(({ id }) => id)).toEqual(good.ids);
			known.add(good.ids[0] as TaskId);
		}),
		fuzzing(300),
	);
	await journal.close();
	const again = await open();
	expect(new Set(again.recovered.open.map(({ id }) => id))).toEqual(known);
	expect(again.recovered.tornBytes).toBe(0);
	await again.close();
});
