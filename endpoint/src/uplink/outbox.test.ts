import { expect, test } from "vitest";
import { Outbox, type OutgoingMessage } from "./outbox.ts";

const message = (text: string): OutgoingMessage => ({
	exchange: "results",
	routingKey: "k",
	body: Buffer.from(text),
	contentType: "t",
	persistent: true,
});
const textOf = (sent: OutgoingMessage): string => Buffer.from(sent.body).toString();

test("NEW-7: what was not confirmed goes out again after a lost connection, in order, and each is settled once", async () => {
	const outbox = new Outbox();
	const settled: string[] = [];
	const additions = ["a", "b", "c"].map((text) => outbox.add(message(text)).then(() => settled.push(text)));
	const answers: ((confirmed: boolean) => void)[] = [];
	const first: string[] = [];
	outbox.connect((sent, done) => {
		first.push(textOf(sent));
		answers.push(done);
	});
	expect(first).toEqual(["a", "b", "c"]);
	answers[0]?.(true);
	outbox.disconnect();
	answers[1]?.(true);
	const second: string[] = [];
	outbox.connect((sent, done) => {
		second.push(textOf(sent));
		done(true);
	});
	expect(second).toEqual(["b", "c"]);
	await Promise.all(additions);
	expect(settled.sort()).toEqual(["a", "b", "c"]);
	expect(outbox.bytes).toBe(0);
});

test("only so many are in flight; the rest follow as confirmations come", () => {
	const outbox = new Outbox();
	const answers: ((confirmed: boolean) => void)[] = [];
	outbox.connect((_, done) => answers.push(done));
	for (let i = 0; i < 1000; i++) void outbox.add(message("x"));
	expect(answers.length).toBe(128);
	for (let i = 0; i < answers.length; i++) answers[i]?.(true);
	expect(answers.length).toBe(1000);
	expect(outbox.bytes).toBe(0);
});

test("closing tells those who wait", async () => {
	const outbox = new Outbox();
	const waiting = outbox.add(message("x"));
	outbox.close();
	await expect(waiting).rejects.toThrow("before the broker confirmed");
});
