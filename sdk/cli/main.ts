#!/usr/bin/env node
/** The `errand` command. */
import { readFileSync } from "node:fs";
import { openHome } from "./home.ts";
import { runCommandLine } from "./run-command-line.ts";
import { closeSession, openClient, openSession } from "./session.ts";
import { askTerminal, pauseUnless, readAllInput } from "./terminal.ts";

const stop = new AbortController();
/** The first asks to end, the second ends: nobody waits for what does not come. */
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
	process.on(name, () => {
		if (stop.signal.aborted) process.exit(130);
		stop.abort(new Error(name));
	});
/** The reader of a pipe has gone: nothing is left to say. */
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 70));

const { signal } = stop;
const { env: environment } = process;
const home = openHome(environment);
const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
	version: string;
};

process.exitCode = await runCommandLine(process.argv.slice(2), {
	out: process.stdout,
	err: process.stderr,
	environment,
	version,
	signal,
	context: (mode, screen) => ({
		environment,
		workingDirectory: process.cwd(),
		home,
		signal,
		childOutput: mode === "table" ? "inherit" : "stderr",
		note: (text) => screen.note(text),
		ask: (question, options) => askTerminal(question, options?.secret === true, signal),
		readInput: readAllInput,
		client: () => openClient(environment, home),
		login: (cloudUrl, onPrompt) => openSession(home, cloudUrl, onPrompt, signal),
		logout: () => closeSession(home),
		now: Date.now,
		pause: (ms) => pauseUnless(signal, ms),
	}),
});
