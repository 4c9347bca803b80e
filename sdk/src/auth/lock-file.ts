/** One process at a time, by a file: also on NFS, also when the one before was killed. */
import { randomUUID } from "node:crypto";
import { link, open, readFile, rename, stat, unlink } from "node:fs/promises";
import { hostname } from "node:os";
import { Fault } from "@errand/proto";

/** Whoever holds it finishes one token request (20 s) and one small write; after this it is dead. */
export const staleAfterMs = 45_000;
const patienceMs = 90_000;
const pollMs = { least: 15, most: 120 };

interface Holder {
	id: string;
	host: string;
	pid: number;
}

function isGone(error: unknown): boolean {
	return (error as NodeJS.ErrnoException).code === "ENOENT";
}

async function readHolder(path: string): Promise<{ holder: Partial<Holder>; ageMs: number } | undefined> {
	try {
		const [text, { mtimeMs }] = await Promise.all([readFile(path, "utf8"), stat(path)]);
		const ageMs = Date.now() - mtimeMs;
		try {
			return { holder: JSON.parse(text) as Partial<Holder>, ageMs };
		} catch {
			return { holder: {}, ageMs };
		}
	} catch (error) {
		if (isGone(error)) return undefined;
		throw error;
	}
}

function isDead({ holder, ageMs }: { holder: Partial<Holder>; ageMs: number }): boolean {
	if (ageMs > staleAfterMs) return true;
	if (holder.host !== hostname() || holder.pid === undefined) return false;
	try {
		process.kill(holder.pid, 0);
		return false;
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === "ESRCH";
	}
}

/** Moves a dead holder's lock aside. If somebody else took it over in between, theirs is put back. */
async function breakLock(path: string, deadId: string | undefined): Promise<void> {
	const aside = `${path}.${randomUUID()}`;
	try {
		await rename(path, aside);
	} catch (error) {
		if (isGone(error)) return;
		throw error;
	}
	const moved = await readHolder(aside);
	if (moved?.holder.id !== deadId) await link(aside, path).catch(() => undefined);
	await unlink(aside).catch(() => undefined);
}

async function take(path: string, holder: Holder): Promise<boolean> {
	try {
		const file = await open(path, "wx", 0o600);
		await file.writeFile(JSON.stringify(holder)).finally(() => file.close());
		return true;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
		throw error;
	}
}

/** Runs `work` while this process alone has the lock file `path`. */
export async function withLockFile<T>(path: string, work: () => Promise<T>): Promise<T> {
	const holder: Holder = { id: randomUUID(), host: hostname(), pid: process.pid };
	const deadlineMs = performance.now() + patienceMs;
	while (!(await take(path, holder))) {
		const present = await readHolder(path);
		if (present !== undefined && isDead(present)) {
			await breakLock(path, present.holder.id);
			continue;
		}
		if (performance.now() > deadlineMs) {
			const { host, pid } = present?.holder ?? {};
			throw new Fault("NOT_READY", `${path} is held by process ${pid} on ${host}; remove it if that does not run.`);
		}
		const pauseMs = pollMs.least + Math.random() * (pollMs.most - pollMs.least);
		await new Promise((resolve) => {
			setTimeout(resolve, pauseMs);
		});
	}
	try {
		return await work();
	} finally {
		// Only ours: after a long stall somebody may have taken it over.
		if ((await readHolder(path))?.holder.id === holder.id) await unlink(path).catch(() => undefined);
	}
}
