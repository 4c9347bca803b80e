import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import {
	decodeMessage,
	encodeMessage,
	joinBuffer,
	type MessageType,
	pack,
	runtimeOf,
	type Serialization,
	serializations,
	splitBuffer,
	unpack,
} from "@errand/proto";
import { Runtime } from "@errand/proto/wire";
import { python as python3 } from "@errand/sdk";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { globusPackages } from "../harness/globus.ts";
import { type PythonEnvironment, pythonEnvironment } from "../harness/python.ts";

const program = fileURLToPath(new URL("./vectors.py", import.meta.url));

let python: PythonEnvironment;
beforeAll(async () => {
	python = await pythonEnvironment([globusPackages.sdk]);
}, 300_000);
afterAll(() => python?.remove());

/** What the peer's own code answers to each question, asked in one process. */
async function ask<Answer>(questions: readonly object[]): Promise<Answer[]> {
	const answered = Promise.withResolvers<string>();
	const child = execFile(python.python, [program], { maxBuffer: 256 * 1024 * 1024 }, (error, stdout, stderr) =>
		error ? answered.reject(new Error(`${error.message}\n${stderr}`)) : answered.resolve(stdout),
	);
	child.stdin?.end(questions.map((question) => `${JSON.stringify(question)}\n`).join(""));
	const answers = (await answered.promise).trim().split("\n");
	expect(answers).toHaveLength(questions.length);
	return answers.map((line) => JSON.parse(line) as Answer);
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
/** Any characters that UTF-8 has. */
const text = fc.string({ unit: "binary", maxLength: 60 });
const id = fc.uuid();
const transition = fc.record({
	timestamp: fc.integer({ min: 0, max: 2 ** 50 }),
	state: fc.constantFrom("received", "waiting-for-nodes", "execution-start", "execution-end", "running", "success"),
	actor: fc.constantFrom("worker", "manager", "interchange", "endpoint", "web-service"),
});
const transitions = fc.array(transition, { maxLength: 3 });
const plain = fc.dictionary(
	fc.string({ maxLength: 8 }),
	fc.oneof(text, fc.integer(), fc.boolean(), fc.constant(null)),
	{
		noNullPrototype: true,
	},
);

const messages = {
	task: fc.record({
		task_id: id,
		container_id: fc.option(id),
		container: fc.constant(null),
		task_buffer: text,
	}),
	result: fc.record({
		task_id: id,
		data: text,
		details: fc.option(plain),
		error_details: fc.option(fc.record({ code: text, user_message: text })),
		task_statuses: fc.option(transitions),
	}),
	ep_status_report: fc.record({
		endpoint_id: id,
		global_state: plain,
		task_statuses: fc.dictionary(id, transitions, { maxKeys: 3, noNullPrototype: true }),
	}),
} satisfies { [Type in MessageType]: fc.Arbitrary<unknown> };

test.each(Object.keys(messages) as MessageType[])(
	"NEW-29: the peer's library reads our %s messages and writes the same bytes, and we read its",
	async (type) => {
		const samples = fc.sample(messages[type] as fc.Arbitrary<never>, 300);
		const ours = samples.map((sample) => encodeMessage(type, sample));
		const theirs = await ask<{ type: string; hex: string }>(ours.map((bytes) => ({ unpack: hex(bytes) })));
		for (const [at, sample] of samples.entries()) {
			expect(theirs[at]).toEqual({ type, hex: hex(ours[at] as Uint8Array) });
			expect(decodeMessage(type, Buffer.from(theirs[at]?.hex ?? "", "hex"))).toEqual(sample);
		}
	},
);

test("NEW-29: buffers packed here are split there, and the other way round, whatever characters they hold", async () => {
	const samples = fc.sample(fc.array(text, { maxLength: 4 }), 300);
	const split = await ask<{ buffers: string[] }>(samples.map((buffers) => ({ split: pack(buffers) })));
	const joined = await ask<{ text: string }>(samples.map((buffers) => ({ join: buffers })));
	for (const [at, buffers] of samples.entries()) {
		expect(split[at]?.buffers).toEqual(buffers);
		expect(joined[at]?.text).toBe(pack(buffers));
		expect(unpack(joined[at]?.text ?? "")).toEqual(buffers);
	}
});

test("NEW-29: JSON values written here are read there, and the other way round", async () => {
	const samples = fc.sample(fc.jsonValue({ stringUnit: "binary" }), 300);
	const there = await ask<{ json: unknown }>(
		samples.map((value) => ({ load: joinBuffer(serializations.json, JSON.stringify(value)) })),
	);
	const back = await ask<{ text: string }>(samples.map((value) => ({ dump: value })));
	for (const [at, value] of samples.entries()) {
		const same = JSON.parse(JSON.stringify(value)); // no negative zero
		expect(there[at]?.json).toEqual(same);
		expect(back[at]?.text.slice(0, 3)).toBe("11\n");
		expect(JSON.parse(back[at]?.text.slice(3) ?? "")).toEqual(same);
	}
});

test("NEW-29: GC-10: what each strategy of the peer writes is split, joined and packed here to the same bytes, and known as Python's", async () => {
	const [answer] = await ask<{ buffers: [string, boolean, string, string][] }>([{ strategies: 0 }]);
	const buffers = answer?.buffers ?? [];
	expect(buffers.map(([name]) => name)).toEqual(
		expect.arrayContaining(["DillDataBase64", "JSONData", "DillCode", "PureSourceTextInspect", "PureSourceDill"]),
	);
	for (const [name, forCode, buffer, packed] of buffers) {
		const { id, content } = splitBuffer(buffer);
		expect(joinBuffer(id as Serialization, content), name).toBe(buffer);
		expect(pack([buffer, buffer]), name).toBe(packed);
		expect(unpack(packed), name).toEqual([buffer, buffer]);
		if (forCode) expect(runtimeOf(pack([buffer])), name).toBe(Runtime.PYTHON);
	}
});

test("NEW-29: Python source by our SDK is what the peer's writes for the same function, and runs there", async () => {
	const source = "def double(x):\n    return x * 2\n";
	const code = unpack(await python3({ name: "double", source }).code())[0] ?? "";
	const [answer, called] = await ask<{ buffers?: [string, boolean, string, string][]; value?: unknown }>([
		{ strategies: 0 },
		{ call: code, with: [21] },
	]);
	expect(answer?.buffers?.find(([name]) => name === "PureSourceTextInspect")?.[2]).toBe(code);
	expect(called?.value).toBe(42);
});
