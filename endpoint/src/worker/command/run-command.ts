/** Runs one command in its own session and process group; its output goes to the worker's files as it is written. */
import { spawn } from "node:child_process";
import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";
import { constants } from "node:os";
import type { CommandFunction, CommandResult } from "@errand/proto/payload";
import { signalProcess } from "../strays.ts";
import { quote } from "./command-text.ts";

/** As in the public interface. */
const defaultSnippetLines = 1000;
const snippetLimitBytes = 4 * 1024 * 1024;
/** Between SIGTERM and SIGKILL at the walltime. */
const walltimeGraceMs = 1000;
const walltimeReturnCode = 124;

const shell = ["/bin/bash", "/usr/bin/bash"].find((path) => existsSync(path)) ?? "/bin/sh";

export interface CommandRun {
	command: CommandFunction;
	/** The filled template. */
	text: string;
	/** 0: none. */
	walltimeMs: number;
	/** What starts it as each of the task's processes. */
	launchWords: readonly string[];
	/** What starts a program in the task's container. */
	containerWords: readonly string[];
}

/** Settles when the command's group is gone. Rejects when the shell cannot be started. */
export async function runCommand(run: CommandRun): Promise<CommandResult> {
	const { command, text, walltimeMs } = run;
	const from = [1, 2].map((fd) => fstatSync(fd).size);
	const [program, ...words] = commandWords(run);
	const child = spawn(program, words, {
		detached: true,
		stdio: ["ignore", 1, 2],
		env: { ...process.env, ...command.environment },
	});
	const signalGroup = (signal: NodeJS.Signals) => child.pid !== undefined && signalProcess(-child.pid, signal);
	const onTerminate = () => signalGroup("SIGTERM");
	process.on("SIGTERM", onTerminate); // a cancel reaches the command, and this worker lives on
	const limitMs = Math.min(walltimeMs || Number.POSITIVE_INFINITY, command.walltime_ms ?? Number.POSITIVE_INFINITY);
	let outOfTime = false;
	const timers: NodeJS.Timeout[] = [];
	const onWalltime = () => {
		outOfTime = true;
		signalGroup("SIGTERM");
		timers.push(setTimeout(() => signalGroup("SIGKILL"), walltimeGraceMs));
	};
	if (Number.isFinite(limitMs)) timers.push(setTimeout(onWalltime, limitMs));
	try {
		const code = await new Promise<number>((resolve, reject) => {
			child.once("error", reject);
			child.once("exit", (code, signal) => resolve(code ?? -(signal === null ? 1 : constants.signals[signal])));
		});
		const returncode = outOfTime ? walltimeReturnCode : code;
		const [stdout = "", stderr = ""] = [1, 2].map((fd) => lastLines(fd, from[fd - 1] ?? 0, command.snippet_lines));
		return { cmd: text, stdout, stderr, returncode, exception_name: exceptionName(outOfTime, returncode) };
	} finally {
		for (const timer of timers) clearTimeout(timer);
		process.off("SIGTERM", onTerminate);
		signalGroup("SIGKILL"); // what it left in the background ends with it
	}
}

/** A template that says where its ranks begin is run by a shell outside of them, and outside of the container. */
const placesRanks = /\$\{?(ERRAND|PARSL)_MPI_PREFIX\b/;

function commandWords({ command, text, launchWords, containerWords }: CommandRun): [string, ...string[]] {
	if (launchWords.length > 0 && placesRanks.test(text)) return [shell, "-c", text];
	const [first, ...rest] = [...launchWords, ...containerWords];
	if (first === undefined) return [shell, "-c", text];
	return [first, ...rest, containerWords.length > 0 ? "/bin/sh" : shell, "-c", exports(command) + text];
}

/** Launchers and containers need not hand on what they find: the function's own variables are said where it runs. */
function exports({ environment = {} }: CommandFunction): string {
	return Object.entries(environment)
		.filter(([name]) => /^[A-Za-z_]\w*$/.test(name))
		.map(([name, value]) => `export ${name}=${quote(value)}; `)
		.join("");
}

/** The names that the public interface uses. */
function exceptionName(outOfTime: boolean, returncode: number): string | null {
	if (outOfTime) return "subprocess.TimeoutExpired";
	return returncode === 0 ? null : "subprocess.CalledProcessError";
}

/** What was written since `from`, cut to whole last lines. The manager may have emptied a huge file meanwhile. */
function lastLines(fd: number, from: number, lines = defaultSnippetLines): string {
	const end = fstatSync(fd).size;
	const start = Math.max(end < from ? 0 : from, end - snippetLimitBytes);
	const bytes = Buffer.alloc(end - start);
	const file = openSync(`/proc/self/fd/${fd}`, "r");
	let read: number;
	try {
		read = readSync(file, bytes, 0, bytes.length, start);
	} finally {
		closeSync(file);
	}
	const text = bytes.toString("utf8", 0, read);
	const parts = text.split("\n");
	const ended = parts.at(-1) === "" ? 1 : 0;
	return parts.length - ended <= lines ? text : parts.slice(parts.length - ended - lines).join("\n");
}
