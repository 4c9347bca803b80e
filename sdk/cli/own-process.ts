/** The surroundings of a command that runs in this very process. */
import { readFileSync } from "node:fs";
import { openHome } from "./home.ts";
import type { Surroundings } from "./run-command-line.ts";
import type { Sink } from "./screen.ts";
import { closeSession, openClient, openSession } from "./session.ts";
import { askTerminal, pauseUnless, readAllInput } from "./terminal.ts";

/** The version of the package that this command is part of. */
export function ownVersion(): string {
	const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
	return (JSON.parse(text) as { version: string }).version;
}

/** `npx` runs a command in the package around the directory where it was typed: files are meant from there. */
export function whereTyped(environment: NodeJS.ProcessEnv, workingDirectory: string): string {
	const { npm_command: by, npm_lifecycle_event: event, INIT_CWD: typed } = environment;
	return by === "exec" && event === "npx" && typed?.startsWith(`${workingDirectory}/`) ? typed : workingDirectory;
}

export function ownSurroundings(options: {
	out: Sink & { readonly columns?: number };
	err: Sink;
	environment: NodeJS.ProcessEnv;
	signal: AbortSignal;
}): Surroundings {
	const { environment, signal } = options;
	const home = openHome(environment);
	return {
		...options,
		version: ownVersion(),
		context: (mode, screen) => ({
			environment,
			workingDirectory: whereTyped(environment, process.cwd()),
			home,
			signal,
			childOutput: mode === "table" ? "inherit" : "stderr",
			note: (text) => screen.note(text),
			progress: (text) => {
				if (process.stderr.isTTY && mode === "table") screen.err(`\r\u001b[K${text}`);
			},
			attended: process.stdin.isTTY === true && process.stderr.isTTY === true,
			ask: (question, asked) => askTerminal(question, asked?.secret === true, signal),
			readInput: readAllInput,
			client: () => openClient(environment, home),
			login: (cloudUrl, how, onPrompt) => openSession(home, cloudUrl, how, onPrompt, signal),
			logout: () => closeSession(home),
			now: Date.now,
			pause: (ms, sooner) => pauseUnless(signal, ms, sooner),
		}),
	};
}
