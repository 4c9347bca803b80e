/**
 * The listener under sessions of real clients that were broken on the way. It runs in a process of its own: a crash is a
 * crash, and its memory is its own.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type ChannelModel, type ConfirmChannel, connect } from "amqplib";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fuzzing, fuzzTimeoutMs } from "../../../../test/harness/fuzz.ts";
import { frameOf, headersOnly, nestedTable, publication, RawClient } from "../raw-client.test-harness.ts";
import { encodeMethod, methods } from "./codec.ts";
import { protocolHeader } from "./frames.ts";

const here = (name: string): URL => new URL(name, import.meta.url);

/** Sessions of a recording: lists of frames. Lines that start with # are for people. */
function readSessions(name: string): Buffer[][] {
	return readFileSync(here(`./recordings/${name}.hex`), "utf8")
		.split(/\n\s*\n/)
		.map((session) =>
			session
				.split("\n")
				.filter((line) => line !== "" && !line.startsWith("#"))
				.map((line) => Buffer.from(line.replaceAll(" ", ""), "hex")),
		)
		.filter((frames) => frames.length > 0);
}

/** What was found once: the code that ends it, what it is, its frames. */
function found(): [number, string, Buffer[]][] {
	const sentences = readFileSync(here("./recordings/found.hex"), "utf8").matchAll(/^# (\d+): (.*)$/gm);
	const frames = readSessions("found");
	return [...sentences].map(([, code, what], index) => [Number(code), what as string, frames[index] as Buffer[]]);
}

/** Reply codes with which AMQP ends something; 541 is "the broker failed", and never right. */
const properCodes = new Set([320, 403, 404, 405, 406, 501, 502, 503, 504, 505, 506, 530, 540]);
/** Above what it had before: Node collects late, so this is a bound and not a measure. */
const growthLimitBytes = 300 * 1024 * 1024;

let directory: string;
let child: ChildProcess;
let url: string;
let lines: string[];
let witness: ChannelModel;
let channel: ConfirmChannel;
let witnessed = 0;
let waiting: ((text: string) => void) | undefined;

const residentBytes = (): number =>
	Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1]) * 1024;

beforeAll(async () => {
	directory = mkdtempSync(join(tmpdir(), "errand-fuzz-"));
	const code = `
		import { openEmbeddedBroker } from ${JSON.stringify(here("./embedded.ts").href)};
		const quiet = () => undefined;
		const error = (about, text) => console.log("ERROR " + text + " " + about.err?.stack);
		const log = { debug: quiet, info: quiet, warn: quiet, error };
		const broker = await openEmbeddedBroker({ directory: ${JSON.stringify(directory)}, host: "127.0.0.1", port: 0, log });
		await broker.setUp();
		console.log(broker.serviceUrl);
		process.stdin.on("data", () => console.log("USAGE " + JSON.stringify(broker.usage())));
	`;
	child = spawn(process.execPath, ["--input-type=module-typescript", "-e", code], {
		stdio: ["pipe", "pipe", "inherit"],
	});
	lines = [];
	const output = createInterface({ input: child.stdout as NonNullable<typeof child.stdout> });
	[url] = (await once(output, "line")) as [string];
	output.on("line", (line) => lines.push(line));
	witness = await connect(url, { noDelay: true });
	channel = await witness.createConfirmChannel();
	await channel.assertQueue("witness");
	await channel.consume("witness", (message) => waiting?.(String(message?.content)), { noAck: true });
});
afterAll(async () => {
	await witness?.close().catch(() => undefined);
	child?.kill("SIGKILL");
	if (child && child.exitCode === null && child.signalCode === null) await once(child, "exit");
	rmSync(directory, { recursive: true, force: true });
});

/** The connection that was there before goes on working. */
async function othersGoOn(): Promise<void> {
	const text = String(witnessed++);
	const heard = new Promise<void>((resolve) => {
		waiting = (one) => one === text && resolve();
	});
	channel.sendToQueue("witness", Buffer.from(text));
	await channel.waitForConfirms();
	await heard;
}

/** Says it all on a connection of its own, and looks at how that ends. */
async function say(bytes: readonly Buffer[], client: RawClient): Promise<void> {
	for (const one of bytes) client.write(one);
	client.socket.end();
	await client.closed;
	for (const { code, text } of client.closes) expect(properCodes, text).toContain(code);
	await othersGoOn();
	expect(lines.filter((line) => line.startsWith("ERROR"))).toEqual([]);
}

const sessions = [...readSessions("amqplib"), ...readSessions("pika")];
const someSession = fc.constantFrom(...sessions);
const someFrame = someSession.chain((frames) => fc.constantFrom(...frames));
const someMethod = fc
	.tuple(fc.constantFrom(...Object.values(methods)), fc.nat(3), fc.uint8Array({ maxLength: 60 }))
	.map(([id, number, args]) => {
		const start = Buffer.alloc(4);
		start.writeUInt32BE(id, 0);
		return frameOf(1, number, Buffer.concat([start, args]));
	});
const hugeTable = fc.integer({ min: 1, max: 21_000 }).map((levels) =>
	frameOf(
		1,
		1,
		Buffer.concat([
			// queue.declare, a name, no flags
			Buffer.from([0, 50, 0, 10, 0, 0, 1, 113, 0]),
			headersOnly(nestedTable(levels)).subarray(2),
		]),
	),
);
const manyFields = fc.integer({ min: 1, max: 30_000 }).map((count) => {
	const table = Buffer.alloc(count * 3, Buffer.from("\u0001kV", "latin1"));
	return publication(1, { exchange: "", routingKey: "witness-not" }, headersOnly(table), Buffer.from("x"));
});

type Mutation = (frames: Buffer[]) => Buffer[];
const at = (frames: readonly Buffer[], place: number): number => Math.floor(place * frames.length);
const changed = (frames: Buffer[], place: number, change: (frame: Buffer) => Buffer): Buffer[] =>
	frames.map((frame, index) =>
		index === at(frames, place) && frame.length > wholeFrameBytes ? change(Buffer.from(frame)) : frame,
	);
/** Anything shorter was cut before. */
const wholeFrameBytes = 8;

const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const mutation: fc.Arbitrary<Mutation> = fc.oneof(
	place.map(
		(where): Mutation =>
			(frames) =>
				frames.toSpliced(at(frames, where), 1),
	),
	fc.tuple(place, fc.integer({ min: 2, max: 300 })).map(
		([where, times]): Mutation =>
			(frames) =>
				frames.toSpliced(
					at(frames, where),
					1,
					...Array.from({ length: times }, () => frames[at(frames, where)] as Buffer),
				),
	),
	fc.tuple(place, place).map(
		([one, two]): Mutation =>
			(frames) =>
				frames.with(at(frames, one), frames[at(frames, two)] as Buffer),
	),
	fc.tuple(place, place).map(
		([where, part]): Mutation =>
			(frames) =>
				changed(frames, where, (frame) => frame.subarray(0, Math.floor(frame.length * part))),
	),
	fc.tuple(place, fc.array(fc.tuple(place, fc.nat(255)), { minLength: 1, maxLength: 4 })).map(
		([where, bytes]): Mutation =>
			(frames) =>
				changed(frames, where, (frame) => {
					// Not the frame's size and end, mostly: what is inside is what should be read.
					for (const [offset, byte] of bytes) frame[7 + Math.floor(offset * (frame.length - 8))] = byte;
					return frame;
				}),
	),
	fc.tuple(place, fc.integer({ min: 0, max: 65_535 })).map(
		([where, number]): Mutation =>
			(frames) =>
				changed(frames, where, (frame) => {
					frame.writeUInt16BE(number, 1);
					return frame;
				}),
	),
	fc.tuple(place, fc.integer({ min: 0, max: 2 ** 32 - 1 })).map(
		([where, size]): Mutation =>
			(frames) =>
				changed(frames, where, (frame) => {
					frame.writeUInt32BE(size, 3);
					return frame;
				}),
	),
	fc.tuple(place, fc.oneof(someFrame, someMethod, hugeTable, manyFields, fc.uint8Array({ maxLength: 40 }))).map(
		([where, more]): Mutation =>
			(frames) =>
				frames.toSpliced(at(frames, where), 0, Buffer.from(more)),
	),
);

/** Mutations keep at least one frame for the next one to work on. */
const mutate = (frames: Buffer[], how: readonly Mutation[]): Buffer[] =>
	how.reduce((now, change) => (now.length === 0 ? now : change(now)), frames);

describe("the embedded broker's listener, fuzzed", () => {
	it("takes recorded sessions as they are", async () => {
		for (const frames of sessions) await say(frames.slice(1), await RawClient.open(url));
	});

	it.each(found())("ends with %s: %s", async (code, _, frames) => {
		const client = await RawClient.open(url);
		client.write(Buffer.concat(frames));
		expect(await client.refusal()).toBe(code);
		client.destroy();
		await othersGoOn();
	});

	it("HQ-6: never fails, never forgets the others, and ends what is broken with its code, whatever a logged-in client says", {
		timeout: fuzzTimeoutMs(60_000),
	}, async () => {
		const before = residentBytes();
		await fc.assert(
			fc.asyncProperty(someSession, fc.array(mutation, { minLength: 1, maxLength: 4 }), async (frames, how) => {
				await say(mutate(frames.slice(1), how), await RawClient.open(url));
			}),
			fuzzing(150),
		);
		expect(residentBytes() - before).toBeLessThan(growthLimitBytes);
	});

	it("whatever is said instead of a log-in", { timeout: fuzzTimeoutMs(30_000) }, async () => {
		await fc.assert(
			fc.asyncProperty(
				fc.boolean(),
				fc.array(fc.oneof(someFrame, someMethod, hugeTable, fc.uint8Array({ maxLength: 100 })), { maxLength: 5 }),
				async (greets, pieces) => {
					const greeting = greets ? [protocolHeader] : [];
					await say([...greeting, ...pieces.map((piece) => Buffer.from(piece))], new RawClient(url));
				},
			),
			fuzzing(60),
		);
	});

	it("a flood of channels and consumers is ended with a code", { timeout: 60_000 }, async () => {
		const before = residentBytes();
		const flood = await RawClient.open(url, { channelMax: 2047 });
		for (let number = 2; number <= 2047; number++)
			flood.write(encodeMethod(methods.channelOpen, number, { outOfBand: "" }));
		flood.write(encodeMethod(methods.queueDeclare, 1, { queue: "flooded", arguments: {} }));
		for (let consumer = 0; consumer <= 10_000; consumer++)
			flood.write(
				encodeMethod(methods.basicConsume, 1 + (consumer % 2047), {
					queue: "flooded",
					consumerTag: String(consumer),
					nowait: true,
					arguments: {},
				}),
			);
		expect(await flood.refusal()).toBe(530);
		flood.destroy();
		await othersGoOn();
		expect(residentBytes() - before).toBeLessThan(growthLimitBytes);
	});

	it("what a client says after it was refused costs nothing", { timeout: 60_000 }, async () => {
		const before = residentBytes();
		const deaf = await RawClient.open(url);
		deaf.write(Buffer.from([1, 0, 0, 0xff, 0xff, 0xff, 0xff]));
		expect(await deaf.refusal()).toBe(501);
		for (let megabyte = 0; megabyte < 128; megabyte++) deaf.write(Buffer.alloc(1024 * 1024, 1));
		// Until the broker has waited long enough for its good-bye: others are served all the while, and not now and then.
		let served = 0;
		for (; !deaf.socket.destroyed; served++) await othersGoOn();
		expect(served).toBeGreaterThan(100);
		expect(residentBytes() - before).toBeLessThan(growthLimitBytes);
	});

	it("and when all of them have left nothing of them is kept", async () => {
		await expect
			.poll(
				async () => {
					const from = lines.length;
					child.stdin?.write("?");
					await expect.poll(() => lines.slice(from).some((line) => line.startsWith("USAGE"))).toBe(true);
					return JSON.parse((lines.slice(from).find((line) => line.startsWith("USAGE")) as string).slice(6))
						.connections;
				},
				{ timeout: 10_000 },
			)
			.toBe(1);
	});
});
