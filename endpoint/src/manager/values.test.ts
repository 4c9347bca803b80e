import { joinBuffer, pack, serializations } from "@errand/proto/payload";
import { parseStructured, stringifyStructured } from "@errand/proto/structured-value";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { javascript, jsonOf, python, ScriptedDaemon, valueIn } from "./scripted-daemon.ts";

describe("arguments and results", () => {
	let daemon: ScriptedDaemon;
	beforeAll(async () => {
		daemon = new ScriptedDaemon();
		daemon.inlineLimitBytes = 10_000;
		await daemon.open();
	});
	afterAll(() => daemon.close());

	test("NEW-14: between TypeScript ends values keep what structured clone keeps", async () => {
		const echo = javascript(
			"export const f = (value) => ({ value, seen: value.when instanceof Date, own: new Map([[1n, new TypeError('x')]]) });",
		);
		const value = { when: new Date(3), bytes: new Uint8Array([1, 2]), not: undefined, big: 5n };
		const task = daemon.task(echo);
		const structured = (what: unknown) => joinBuffer(serializations.structured, stringifyStructured(what));
		task.payload = Buffer.from(pack([structured([value]), structured({})]));
		daemon.submit(echo, [task]);
		const buffer = valueIn(await daemon.result(task));
		expect(buffer.slice(0, 3)).toBe("ev\n");
		expect(parseStructured(buffer.slice(3))).toEqual({ value, seen: true, own: new Map([[1n, new TypeError("x")]]) });
	});

	test("keyword arguments arrive as the last argument in JavaScript and by name in Python", async () => {
		const js = javascript("export const f = (a, { b }) => [a, b];");
		const py = python("async def f(a, b):\n    return [a, b]\n");
		for (const both of [js, py])
			expect(jsonOf(await daemon.run(both, { args: [1], kwargs: { b: "ü😀" } }))).toEqual([1, "ü😀"]);
	});

	test("a default export and an async function are called too; no return value is null in JSON", async () => {
		const anonymous = javascript("export default async (n) => { await null; globalThis.kept = n; };", "nameless");
		const result = await daemon.run(anonymous, {
			args: [1],
			resultSerializers: ["globus_compute_sdk.serialize.JSONData"],
		});
		expect(valueIn(result)).toBe("11\nnull");
	});

	test("GC-4: values above the inline limit travel by reference, in and out", async () => {
		const long = "é".repeat(20_000);
		const payload = pack([joinBuffer("11", JSON.stringify([long])), joinBuffer("11", "{}")]);
		for (const echo of [javascript("export const f = (s) => s + s;"), python("def f(s):\n    return s + s\n")]) {
			const reference = daemon.keepBlob(Buffer.from(payload));
			const { outcome } = await daemon.run(echo, { payloadReference: reference });
			if (outcome.case !== "valueReference") throw new Error(`not by reference: ${outcome.case}`);
			const blob = daemon.blobs.get(Buffer.from(outcome.value.sha256).toString("hex"));
			expect(JSON.parse(String(blob).slice(3))).toBe(long + long);
			expect(outcome.value.sizeBytes).toBe(blob?.length);
		}
	});

	test("the link's secrets are not in a task's environment", async () => {
		const look = javascript("export const f = () => Object.keys(process.env);");
		const names = jsonOf(await daemon.run(look)) as string[];
		expect(names).not.toContain("ERRAND_BLOCK_TOKEN");
		expect(names).not.toContain("ERRAND_LINK_CERTIFICATE");
		expect(names).toContain("ERRAND_TASK_ID");
	});
});
