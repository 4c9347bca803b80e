/**
 * The cloud and the endpoint daemon are programs of their own: found here, started here, imported never.
 * A child gets a session of its own, so that Ctrl-C reaches the command alone, which then asks the child to end once.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Complaint } from "./complaint.ts";
import { makePrivateDirectory } from "./home.ts";

const programs = {
	cloud: { variable: "ERRAND_CLOUD_MAIN", specifier: "@errand/cloud/main", sibling: "cloud.mjs" },
	endpoint: { variable: "ERRAND_ENDPOINT_MAIN", specifier: "@errand/endpoint/main", sibling: "endpoint.mjs" },
	transfer: { variable: "ERRAND_TRANSFER_MAIN", specifier: "@errand/endpoint/transfer", sibling: "transfer.mjs" },
} as const;

export type ProgramName = keyof typeof programs;

/** The program's main file: what the variable says, the file beside a bundled command, or the installed package. */
export function findProgram(name: ProgramName, environment: NodeJS.ProcessEnv): string {
	const { variable, specifier, sibling } = programs[name];
	const told = environment[variable];
	if (told) return told;
	const beside = join(dirname(fileURLToPath(import.meta.url)), sibling);
	if (existsSync(beside)) return beside;
	try {
		const path = fileURLToPath(import.meta.resolve(specifier));
		if (existsSync(path)) return path;
	} catch (cause) {
		throw notInstalled(name, cause);
	}
	throw notInstalled(name);
}

function notInstalled(name: ProgramName, cause?: unknown): Complaint {
	const { variable, specifier } = programs[name];
	return new Complaint("notFound", `the ${name} is not installed beside this command (${specifier})`, {
		next: `install it, or set ${variable} to its main file`,
		cause,
	});
}

interface Start {
	program: string;
	arguments: readonly string[];
	environment: NodeJS.ProcessEnv;
}

/** Output to this terminal; `stderr` when stdout carries something else. */
export function startForeground(start: Start, output: "inherit" | "stderr"): ChildProcess {
	return spawn(process.execPath, [start.program, ...start.arguments], {
		env: start.environment,
		stdio: ["ignore", output === "inherit" ? "inherit" : 2, 2],
		detached: true,
	});
}

/** Goes on when this command has ended; output is appended to `log` (0600). */
export function startDetached(start: Start, log: string): ChildProcess {
	makePrivateDirectory(dirname(log));
	const file = openSync(log, "a", 0o600);
	try {
		const child = spawn(process.execPath, [start.program, ...start.arguments], {
			env: start.environment,
			stdio: ["ignore", file, file],
			detached: true,
		});
		child.unref();
		return child;
	} finally {
		closeSync(file);
	}
}

export interface Ended {
	code: number | null;
	signal: NodeJS.Signals | null;
}

/** When the child has ended. When `signal` says stop the child is asked once, with SIGTERM, and still waited for. */
export async function untilEnded(child: ChildProcess, signal: AbortSignal): Promise<Ended> {
	const stop = (): void => void child.kill("SIGTERM");
	if (signal.aborted) stop();
	signal.addEventListener("abort", stop, { once: true });
	try {
		if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
		return { code: child.exitCode, signal: child.signalCode };
	} finally {
		signal.removeEventListener("abort", stop);
	}
}

/** EX_USAGE of sysexits.h: what a person typed went to the program, which does not take it. */
const usageStatus = 64;

/**
 * Runs to its end and returns what it wrote. A Complaint with the program's own words when it fails.
 * @param start.tells what it says on stderr is for the person, as it happens
 */
export function runProgram(start: Start & { name: string; accepts?: readonly number[]; tells?: boolean }): string {
	const { status, signal, stdout, stderr, error } = spawnSync(process.execPath, [start.program, ...start.arguments], {
		env: start.environment,
		encoding: "utf8",
		stdio: ["ignore", "pipe", start.tells ? "inherit" : "pipe"],
	});
	if (status !== null && [0, ...(start.accepts ?? [])].includes(status)) return stdout;
	const said =
		(stderr ?? "").trim().split("\n").slice(-5).join("\n") || error?.message || `it ended with ${signal ?? status}`;
	if (status === usageStatus) throw new Complaint("usage", said.replace(/^[\w-]+: /, ""), { cause: error });
	throw new Complaint("failed", `${start.name} failed: ${said}`, { cause: error });
}
