/**
 * Identities to local names by a program of the site: `external_identity_mapping#1.0.0`. It is told who it works for
 * with `-c`, `-s` and `-a`, reads the identities as JSON, and writes what it knows as JSON.
 */
import { spawn } from "node:child_process";
import * as z from "zod";
import { type Identity, type MappedName, MappingProgramFailure } from "./identity.ts";

/** By which such programs know that accounts of a POSIX system are wanted. */
const posixConnector = "145812c8-decc-41f1-83cf-bb2a85a2a70b";
/** The field's own limit. */
const programTimeoutMs = 5_000;
const answerLimitBytes = 1024 * 1024;

export const externalDocument = z.looseObject({
	DATA_TYPE: z.literal("external_identity_mapping#1.0.0"),
	command: z.tuple([z.string().min(1)], z.union([z.string(), z.number()])),
});

const answer = z.strictObject({
	DATA_TYPE: z.literal("identity_mapping_output#1.0.0").optional(),
	result: z.array(z.strictObject({ id: z.guid().toLowerCase(), output: z.string() })),
});

/** What the program finds of the daemon's environment. */
const kept = ["PATH", "HOME", "LANG", "LC_ALL", "TZ"];

/** Its standard output. Rejects with a MappingProgramFailure when it fails, is too slow, or says too much. */
function ask(command: readonly string[], question: string, timeoutMs: number): Promise<string> {
	const [program = "", ...words] = command;
	const said = Promise.withResolvers<string>();
	const fail = (says: string, cause?: unknown): void => {
		const options = cause === undefined ? undefined : { cause };
		said.reject(new MappingProgramFailure(`the mapping program ${program} ${says}`, options));
	};
	const environment = Object.fromEntries(kept.flatMap((name) => [[name, process.env[name]]]));
	const child = spawn(program, words, { env: environment, cwd: "/", detached: true });
	const kill = (): void => {
		try {
			if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
		} catch {
			// It has ended by itself.
		}
	};
	const timer = setTimeout(() => {
		fail(`did not answer within ${timeoutMs} ms`);
		kill();
	}, timeoutMs);
	const parts = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
	let bytes = 0;
	for (const stream of ["stdout", "stderr"] as const)
		child[stream].on("data", (part: Buffer) => {
			bytes += part.length;
			if (bytes <= answerLimitBytes) parts[stream].push(part);
			else {
				fail(`wrote more than ${answerLimitBytes} bytes`);
				kill();
			}
		});
	// A program that does not read what it is told has its own reasons.
	child.stdin.on("error", () => undefined);
	child.on("error", (error) => fail(`cannot be started: ${error.message}`, error));
	child.on("close", (status, signal) => {
		const text = (stream: "stdout" | "stderr"): string => Buffer.concat(parts[stream]).toString("utf8");
		if (status === 0) said.resolve(text("stdout"));
		else fail(`ended with ${signal ?? `status ${status}`}: ${text("stderr").trim().slice(-500)}`);
	});
	child.stdin.end(question);
	return said.promise.finally(() => {
		clearTimeout(timer);
		kill();
	});
}

/** Rejects with a MappingProgramFailure when the program does, or when its answer is not one. */
export async function askProgram(
	{ command }: z.output<typeof externalDocument>,
	identities: readonly Identity[],
	endpointId: string,
	timeoutMs = programTimeoutMs,
): Promise<MappedName[]> {
	const words = [...command.map(String), "-c", posixConnector, "-s", endpointId, "-a"];
	const question = JSON.stringify({ DATA_TYPE: "identity_mapping_input#1.0.0", identities });
	const text = await ask(words, question, timeoutMs);
	if (text === "") return [];
	let read: z.output<typeof answer>;
	try {
		read = answer.parse(JSON.parse(text));
	} catch (cause) {
		const says = cause instanceof z.ZodError ? z.prettifyError(cause) : (cause as Error).message;
		throw new MappingProgramFailure(`the mapping program ${words[0]} wrote no answer that is understood: ${says}`, {
			cause,
		});
	}
	return read.result.map(({ id, output }) => {
		const asked = identities.find((identity) => identity.id.toLowerCase() === id);
		if (!asked)
			throw new MappingProgramFailure(`the mapping program ${words[0]} answered for ${id}, whom nobody asked about`);
		return { identityId: asked.id, localName: output };
	});
}
