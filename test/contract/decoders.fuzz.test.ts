/** Everything of the contract that reads foreign bytes or text: it reads, or it throws the one error that it says, soon and cheaply. */
import {
	decodeMessage,
	encodeMessage,
	idFromBytes,
	joinBuffer,
	type MessageType,
	pack,
	packReference,
	parseId,
	parseStructured,
	referenceOf,
	runtimeOf,
	splitBuffer,
	splitSource,
	stringifyStructured,
	UnserializableValueError,
	unpack,
} from "@errand/proto";
import {
	create,
	fromBinary,
	ReportBatchSchema,
	ResultBatchSchema,
	TaskBatchSchema,
	toBinary,
} from "@errand/proto/wire";
import fc from "fast-check";
import { expect, test } from "vitest";
import { broken } from "../harness/broken-bytes.ts";
import { fuzzing, fuzzTimeoutMs } from "../harness/fuzz.ts";

const id = "11111111-2222-4333-8444-555555555555";
const idBytes = Uint8Array.from({ length: 16 }, (_, at) => at);
/** For an input of some kilobytes; on a busy machine. */
const soonMs = 2_000;

/** Whole ones, as real senders make them. */
const messages: readonly Uint8Array[] = [
	encodeMessage("task", { task_id: id, container_id: id, task_buffer: pack(["st\nf:def f(): pass", "11\n[]"]) }),
	encodeMessage("result", {
		task_id: id,
		data: "11\n3",
		details: { os: "Linux" },
		error_details: { code: "RemoteExecutionError", user_message: "é" },
		task_statuses: [{ timestamp: 1, state: "execution-start", actor: "w" }],
	}),
	encodeMessage("ep_status_report", { endpoint_id: id, global_state: { heartbeat_period: 30 }, task_statuses: {} }),
];
const batches: readonly Uint8Array[] = [
	toBinary(
		TaskBatchSchema,
		create(TaskBatchSchema, {
			functions: [{ id: idBytes, runtime: 2, code: new Uint8Array(30), name: "f", pythonVersion: "3.11" }],
			tasks: [
				{ id: idBytes, functionId: idBytes, groupId: idBytes, resources: { cores: 2, variants: [{ gpus: 0.5 }] } },
			],
		}),
	),
	toBinary(
		ResultBatchSchema,
		create(ResultBatchSchema, {
			results: [
				{ taskId: idBytes, outcome: { case: "value", value: new Uint8Array(9) }, execution: { host: "n1" } },
				{ taskId: idBytes, outcome: { case: "failure", value: { code: "LOST", message: "é", exitCode: -1 } } },
			],
		}),
	),
	toBinary(
		ReportBatchSchema,
		create(ReportBatchSchema, {
			reports: [{ taskId: idBytes, atUs: 1e15, event: { case: "progress", value: { fraction: 0.5 } } }],
		}),
	),
];

const text = fc.oneof(
	fc.string({ unit: "binary", maxLength: 200 }),
	fc.constantFrom("er\nnull", "er\n1", 'er\n{"sha256":[]}', "er\n{", "st\n", "ej\nf").map((buffer) => pack([buffer])),
	fc.tuple(fc.nat(), fc.string()).map(([length, rest]) => `${length}\n${rest}`),
	fc.string().map((content) => pack([joinBuffer("11", content)])),
	fc.json().map((content) => packReference(JSON.parse(`{"sha256":${content},"size_bytes":-1}`))),
);

const structured = fc.oneof(
	fc.json(),
	fc
		.array(fc.oneof(fc.integer({ min: -8, max: 5 }), fc.array(fc.integer({ min: -8, max: 2 ** 32 }))), { maxLength: 6 })
		.map((value) => JSON.stringify(value)),
	fc
		.tuple(
			fc.constantFrom(
				"Set",
				"Map",
				"Object",
				"null",
				"Error",
				"BigInt",
				"Date",
				"RegExp",
				"Uint8Array",
				"ArrayBuffer",
				"__proto__",
			),
			fc.array(fc.oneof(fc.nat(3), fc.string())),
		)
		.map(([type, rest]) => JSON.stringify([[type, ...rest], "x", 1, ["Error", 1]])),
);

/** What it reads; undefined when it ends as declared. Throws when it ends otherwise, or takes long. */
function reads<T>(work: () => T, declared: new (...parts: never[]) => Error): T | undefined {
	const startedMs = performance.now();
	try {
		return work();
	} catch (error) {
		expect(error).toBeInstanceOf(declared);
		expect((error as Error).message.length).toBeLessThan(2_000);
		return undefined;
	} finally {
		expect(performance.now() - startedMs).toBeLessThan(soonMs);
	}
}

test("messages of the public interface", { timeout: fuzzTimeoutMs(30_000) }, () => {
	const types: readonly MessageType[] = ["task", "result", "ep_status_report"];
	fc.assert(
		fc.property(broken(messages), (bytes) => {
			for (const type of types) reads(() => decodeMessage(type, bytes), RangeError);
		}),
		fuzzing(1_500),
	);
});

test("batches: what was read can be written, and is the same when it is read again", {
	timeout: fuzzTimeoutMs(30_000),
}, () => {
	// What the schemas have in common is all that is needed of them.
	const schemas = [TaskBatchSchema, ResultBatchSchema, ReportBatchSchema] as unknown as (typeof TaskBatchSchema)[];
	fc.assert(
		fc.property(broken(batches), (bytes) => {
			for (const schema of schemas) {
				const read = reads(() => fromBinary(schema, bytes), Error);
				if (read === undefined) continue;
				const written = toBinary(schema, read);
				expect(toBinary(schema, fromBinary(schema, written))).toEqual(written);
			}
		}),
		fuzzing(1_000),
	);
});

test("payloads and ids", { timeout: fuzzTimeoutMs(30_000) }, () => {
	fc.assert(
		fc.property(text, fc.uint8Array({ maxLength: 20 }), (value, bytes) => {
			for (const read of [unpack, splitBuffer, splitSource, referenceOf, runtimeOf, parseId])
				reads(() => read(value), RangeError);
			reads(() => idFromBytes(bytes), RangeError);
		}),
		fuzzing(3_000),
	);
});

test("values of TypeScript", { timeout: fuzzTimeoutMs(30_000) }, () => {
	fc.assert(
		fc.property(structured, (value) => {
			reads(() => parseStructured(value), Error);
			expect(({} as Record<string, unknown>).x).toBeUndefined();
		}),
		fuzzing(3_000),
	);
});

test("values of TypeScript come back as they went, or are refused by name", { timeout: fuzzTimeoutMs(30_000) }, () => {
	fc.assert(
		fc.property(fc.anything({ withDate: true, withMap: true, withSet: true, withBigInt: true }), (value) => {
			const written = reads(() => stringifyStructured(value), UnserializableValueError);
			if (written !== undefined) expect(parseStructured(written)).toEqual(value);
		}),
		fuzzing(300),
	);
});
