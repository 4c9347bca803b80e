#!/usr/bin/env node
/** The `errand` command. */
import { ownSurroundings } from "./own-process.ts";
import { runCommandLine } from "./run-command-line.ts";

const stop = new AbortController();
/** The first asks to end, the second ends: nobody waits for what does not come. */
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
	process.on(name, () => {
		if (stop.signal.aborted) process.exit(130);
		stop.abort(new Error(name));
	});
/** The reader of a pipe has gone: nothing is left to say. */
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 70));

process.exitCode = await runCommandLine(
	process.argv.slice(2),
	ownSurroundings({ out: process.stdout, err: process.stderr, environment: process.env, signal: stop.signal }),
);
