/** What a test run left behind: tests end every process that they start, and remove every directory. */
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";

/** Where an embedded PostgreSQL of root keeps its data, one directory each. */
const databases = "/var/lib/errand";
/** The copy of PostgreSQL's programs there is meant to stay. */
const kept = new Set(["postgres"]);

export interface Leftover {
	/** In words, for people. */
	readonly what: string;
	/** When it is a process. */
	readonly pid?: number;
	/** When it is a directory. */
	readonly path?: string;
}

const namesIn = (directory: string): string[] => {
	try {
		return readdirSync(directory);
	} catch {
		return [];
	}
};

/** The databases that are there now. */
export const databasesNow = (): ReadonlySet<string> => new Set(namesIn(databases));

/**
 * What is left of a run whose temporary directory was `directory`: whatever lies in there, processes whose words,
 * environment or working directory speak of it, and databases that were not there `before` and that nobody serves.
 */
export function findLeftovers(directory: string, before: ReadonlySet<string>): Leftover[] {
	const processes = namesIn("/proc")
		.filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid && speaksOf(entry, directory))
		.map((entry) => ({ pid: Number(entry), what: `process ${entry}: ${read(entry, "cmdline").slice(0, 200)}` }));
	const directories = namesIn(directory).map((name) => join(directory, name));
	const data = namesIn(databases)
		.filter((name) => !before.has(name) && !kept.has(name))
		.map((name) => join(databases, name))
		.filter((path) => !isServed(path));
	return [...processes, ...[...directories, ...data].map((path) => ({ path, what: path }))];
}

function read(pid: string, file: string): string {
	try {
		return readFileSync(`/proc/${pid}/${file}`, "latin1").replaceAll("\0", " ");
	} catch {
		return ""; // ended meanwhile, or another user's
	}
}

function speaksOf(pid: string, directory: string): boolean {
	if (read(pid, "cmdline").includes(directory) || read(pid, "environ").includes(`=${directory}/`)) return true;
	try {
		return readlinkSync(`/proc/${pid}/cwd`).startsWith(`${directory}/`);
	} catch {
		return false;
	}
}

/** Another run's, or a cloud's of this machine: its server is there. */
function isServed(path: string): boolean {
	try {
		const [pid] = readFileSync(join(path, "data", "postmaster.pid"), "utf8").split("\n");
		return statSync(`/proc/${Number(pid)}`, { throwIfNoEntry: false }) !== undefined;
	} catch {
		return false;
	}
}
