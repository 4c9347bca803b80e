/** The directory that a task runs in: empty when it starts, its own while it runs, gone when it has succeeded. */
import { mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";

/** Where tasks run that have no sandbox. */
const startDirectory = process.cwd();

/**
 * Makes `directory` ("": where the worker was started) the working directory. A task of a few microseconds finds it
 * there from the task before.
 */
export function enterSandbox(sandbox: string): void {
	const directory = sandbox || startDirectory;
	if (currentDirectory() === directory) return;
	mkdirSync(directory, { recursive: true, mode: 0o700 });
	process.chdir(directory);
}

/** After success what was left in it is removed; after a failure, or with `keep`, it is kept beside it under the task's id. */
export function leaveSandbox(directory: string, taskId: string, keep: boolean): void {
	if (directory === "") return;
	let left: string[];
	try {
		left = readdirSync(directory);
	} catch {
		process.chdir("/"); // the task removed it: the next one gets a new one
		return;
	}
	if (left.length === 0) return;
	process.chdir("/");
	if (keep) renameSync(directory, join(dirname(directory), taskId));
	else rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
}

function currentDirectory(): string {
	try {
		return process.cwd();
	} catch {
		return ""; // removed under us
	}
}
