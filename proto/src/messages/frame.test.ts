import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeMessage, encodeMessage } from "./frame.ts";

const task = "11111111-2222-4333-8444-555555555555";
const endpoint = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee";
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

// Checksums of what the public interface's own library makes of the same fields.
test("messages are byte for byte those of the public interface", () => {
	const taskBytes = encodeMessage("task", { task_id: task, container_id: null, container: null, task_buffer: "X" });
	expect([taskBytes.length, sha256(taskBytes)]).toEqual([
		137,
		"edbd140952b0366bd73da18b96f8f46136c20f882f52c8827372d82813b04f18",
	]);
	const resultBytes = encodeMessage("result", {
		task_id: task,
		data: "11\n3",
		details: {
			os: "Linux",
			dill_version: "0.3.9",
			python_version: "3.11.7",
			globus_compute_sdk_version: "4.15.0",
			endpoint_id: endpoint,
		},
		error_details: null,
		task_statuses: [],
	});
	const text = new TextDecoder()
		.decode(resultBytes)
		.replace(
			'"task_statuses":[]',
			'"task_statuses":[{"timestamp":1754600000123456789,"state":"execution-start","actor":"worker"},{"timestamp":1754600001123456789,"state":"execution-end","actor":"worker"}]',
		);
	expect(sha256(new TextEncoder().encode(text))).toBe(
		"ef79bde2a8451904a998d04bec7f4fb154bd75c84e88bb73468da85bef1a45bb",
	);
	const reportBytes = encodeMessage("ep_status_report", {
		endpoint_id: endpoint,
		global_state: { heartbeat_period: 30 },
		task_statuses: {},
	});
	expect(new TextDecoder().decode(reportBytes.subarray(1))).toBe(
		`{"message_type":"ep_status_report","data":{"endpoint_id":"${endpoint}","global_state":{"heartbeat_period":30},"task_statuses":{}}}`,
	);
});

test("a message comes back as it went, unknown fields are ignored, ids are lowered", () => {
	const bytes = new TextEncoder().encode(
		`\u0001{"message_type":"result","data":{"task_id":"${task.toUpperCase()}","data":"é","more":1},"extra":2}\n`,
	);
	expect(decodeMessage("result", bytes)).toMatchObject({ task_id: task, data: "é" });
});

test.each([
	["nothing at all", "", "version byte missing"],
	["another version", "\u0002{}", "version byte 2"],
	["no JSON", "\u0001{", "not JSON"],
	["another type", '\u0001{"message_type":"container","data":{}}', 'type "container"'],
	["a missing field", `\u0001{"message_type":"result","data":{"task_id":"${task}"}}`, "data"],
	["an id that is none", '\u0001{"message_type":"result","data":{"task_id":"x","data":""}}', "task_id"],
])("%s is refused in words", (_, text, words) => {
	expect(() => decodeMessage("result", new TextEncoder().encode(text))).toThrow(words);
});

test("bytes that are not UTF-8 are refused", () => {
	expect(() => decodeMessage("task", Uint8Array.of(1, 0xff, 0xfe))).toThrow("not JSON in UTF-8");
});

const whole = encodeMessage("result", { task_id: task, data: "11\n3", details: { os: "Linux" }, error_details: null });

/** Bytes as a broken or foreign sender might put them into a queue. */
const foreign = fc.oneof(
	fc.uint8Array({ maxLength: 200 }),
	fc.nat(whole.length).map((length) => whole.subarray(0, length)),
	fc.tuple(fc.nat(whole.length - 1), fc.nat(255)).map(([at, byte]) => whole.map((old, n) => (n === at ? byte : old))),
	fc.jsonValue().map((data) => Buffer.from(`\u0001${JSON.stringify({ message_type: "result", data })}`)),
	fc.json().map((text) => Buffer.from(`\u0001${text}`)),
);

test("whatever bytes come, they are read as a message or refused with a RangeError, and nothing else happens", () => {
	fc.assert(
		fc.property(foreign, (bytes) => {
			try {
				expect(decodeMessage("result", bytes)).toMatchObject({
					task_id: expect.any(String),
					data: expect.any(String),
				});
			} catch (error) {
				expect(error).toBeInstanceOf(RangeError);
			}
		}),
		{ numRuns: 500 },
	);
});
