/** A person at a terminal: questions, secrets, pauses. */
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { Complaint } from "./complaint.ts";

/** One line. A Complaint when stdin is not a terminal: nobody is there to answer. */
export async function askTerminal(question: string, secret: boolean, signal: AbortSignal): Promise<string> {
	if (!process.stdin.isTTY)
		throw new Complaint("usage", `"${question.trim()}" cannot be asked: stdin is not a terminal`, {
			next: "give the answer as an option; --help lists them",
		});
	let silent = false;
	const output = new Writable({
		write(chunk: Buffer, _encoding, done) {
			if (!silent) process.stderr.write(chunk);
			done();
		},
	});
	const lines = createInterface({ input: process.stdin, output, terminal: true });
	try {
		const answer = lines.question(question, { signal });
		silent = secret;
		return await answer;
	} finally {
		lines.close();
		if (secret) process.stderr.write("\n");
	}
}

export async function readAllInput(): Promise<string> {
	const chunks: Buffer[] = [];
	for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
	return Buffer.concat(chunks).toString("utf8");
}

/** Over when the time is, or `sooner` resolves. Rejects with the signal's reason when it says stop. */
export async function pauseUnless(signal: AbortSignal, ms: number, sooner?: Promise<void>): Promise<void> {
	signal.throwIfAborted();
	const enough = new AbortController();
	void sooner?.then(() => enough.abort());
	await sleep(ms, undefined, { signal: AbortSignal.any([signal, enough.signal]) }).catch((error: unknown) => {
		signal.throwIfAborted();
		if (!enough.signal.aborted) throw error;
	});
}
