/** Where the command keeps its things: `$ERRAND_HOME`, or `~/.errand`. */
import { chmodSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { Complaint } from "./complaint.ts";

export interface Home {
	readonly directory: string;
	/** The state directory of a cloud on this machine. */
	readonly cloud: string;
	readonly operatorToken: string;
	readonly endpoints: string;
	readonly lastTask: string;
}

export function openHome(environment: NodeJS.ProcessEnv): Home {
	const directory = resolve(environment.ERRAND_HOME || join(environment.HOME || homedir(), ".errand"));
	const cloud = join(directory, "cloud");
	return {
		directory,
		cloud,
		operatorToken: join(cloud, "operator-token"),
		endpoints: join(directory, "endpoints"),
		lastTask: join(directory, "last-task.json"),
	};
}

/** A name that stays inside its folder: the endpoint names of the public interface, without `..` by their first letter. */
export function endpointDirectory(home: Home, name: string): string {
	if (!/^[^\s'"/\\.][^\s'"/\\]{0,127}$/.test(name))
		throw new Complaint(
			"usage",
			`"${name}" cannot be an endpoint's name: no space, quote or slash, no dot at its start`,
		);
	return join(home.endpoints, name);
}

export function makePrivateDirectory(path: string): void {
	mkdirSync(path, { recursive: true, mode: 0o700 });
	chmodSync(path, 0o700);
}

/** Whole or not at all: readers never see half a file, and nobody else may read it. */
export function writePrivateFile(path: string, text: string): void {
	mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
	const part = `${path}.${process.pid}.part`;
	writeFileSync(part, text, { mode: 0o600 });
	renameSync(part, path);
}
