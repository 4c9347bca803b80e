/** What the file system under a directory is good for: room, how long a write takes to be safe, who else sees it, whose clock it has. */
import { closeSync, fsyncSync, mkdirSync, openSync, statfsSync, statSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";
import { fault, ok, type Verdict, warning } from "./check.ts";

/** By the magic number of statfs(2). */
const kinds: Readonly<Record<number, string>> = {
	26985: "NFS",
	198183888: "Lustre",
	1196443219: "GPFS",
	428016422: "BeeGFS",
	12805120: "CephFS",
	4283649346: "CIFS",
	16914836: "tmpfs",
	2240043254: "ramfs",
	61267: "ext4",
	1481003842: "XFS",
	2435016766: "Btrfs",
	2035054128: "overlay",
	801189825: "ZFS",
};
/** Gone with the machine's memory, and nobody else sees them. */
const inMemory: ReadonlySet<string> = new Set(["tmpfs", "ramfs"]);

/** Journal, logs and what tasks leave; an endpoint that runs out of it stops. */
const smallBytes = 2 ** 30;
const tooSmallBytes = 64 * 2 ** 20;
/** The journal is made safe before a task is accepted: this is what each batch of tasks waits for. */
const slowSyncMs = 200;
const clockLimitMs = 5_000;
const syncTries = 5;

export interface FileSystem {
	readonly kind: string;
	readonly freeBytes: number;
	/** The middle one of a few. */
	readonly syncMs: number;
	/** What it says of a file written just now, minus this machine's clock. */
	readonly clockMs: number;
}

/** Throws when nothing can be written there. */
export function probeFileSystem(directory: string, nowMs: () => number): FileSystem {
	mkdirSync(directory, { recursive: true, mode: 0o700 });
	const path = join(directory, `.errand-doctor-${process.pid}`);
	const file = openSync(path, "wx", 0o600);
	try {
		const took: number[] = [];
		for (let i = 0; i < syncTries; i++) {
			const startedMs = performance.now();
			writeSync(file, "a line that has to be safe\n");
			fsyncSync(file);
			took.push(performance.now() - startedMs);
		}
		const writtenMs = nowMs();
		const { type, bavail, bsize } = statfsSync(directory);
		return {
			kind: kinds[type >>> 0] ?? `type 0x${(type >>> 0).toString(16)}`,
			freeBytes: bavail * bsize,
			syncMs: took.sort((a, b) => a - b)[Math.floor(syncTries / 2)] as number,
			clockMs: statSync(path).mtimeMs - writtenMs,
		};
	} finally {
		closeSync(file);
		unlinkSync(path);
	}
}

/** @param shared nodes other than this machine must see it */
export function judgeFileSystem(directory: string, system: FileSystem, shared: boolean): Verdict {
	const { kind, freeBytes, syncMs, clockMs } = system;
	const free =
		freeBytes >= 2 ** 30 ? `${Math.floor(freeBytes / 2 ** 30)} GiB` : `${Math.floor(freeBytes / 2 ** 20)} MiB`;
	const says = `${directory}: ${kind}, ${free} free, a safe write takes ${syncMs.toFixed(1)} ms`;
	if (freeBytes < tooSmallBytes) return fault(says, "make room, or say another working_directory");
	if (freeBytes < smallBytes) return warning(says, "make room: journal, logs and what tasks leave need some");
	if (shared && inMemory.has(kind))
		return warning(
			`${says}; other machines do not see it`,
			"keep it on a file system that nodes see, too: ERRAND_HOME, working_directory",
		);
	if (syncMs > slowSyncMs)
		return warning(`${says}: each batch of tasks waits for that`, "keep ERRAND_HOME on a quicker file system");
	if (Math.abs(clockMs) > clockLimitMs)
		return warning(
			`${says}; its clock is ${(clockMs / 1000).toFixed(0)} s off this machine's`,
			"ask the site to set its clocks",
		);
	return ok(says);
}
