import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { link, readFile, rename, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";

/**
 * Keeps a directory to one process, without flock (which network file systems lack): a file with the holder's process id
 * and start time, because ids are used again. A lock whose holder is gone is taken over.
 * Rejects when another process holds it, saying which.
 */
export async function lockDirectory(directory: string): Promise<{ release(): Promise<void> }> {
	const path = join(directory, "lock");
	const mine = JSON.stringify({ pid: process.pid, started: startOf(process.pid), nonce: randomUUID() });
	for (let attempt = 0; attempt < 5; attempt++) {
		if (await create(path, mine)) return { release: () => release(path, mine) };
		const found = await readFile(path, "utf8").catch(() => undefined);
		if (found === undefined) continue;
		const holder = parseHolder(found);
		if (holder && startOf(holder.pid) === holder.started && isAlive(holder.pid))
			throw new Error(
				`${directory} is in use by process ${holder.pid}; end that process, or choose another directory for this one`,
			);
		await moveAside(path, found);
	}
	throw new Error(`${directory} could not be locked: its lock changes all the time; remove ${path} if nobody uses it`);
}

/** Written first and linked then, so that nobody reads half a lock. False when there is one. */
async function create(path: string, mine: string): Promise<boolean> {
	const draft = `${path}.${process.pid}.${randomUUID()}`;
	await writeFile(draft, mine, { mode: 0o600, flag: "wx" });
	try {
		await link(draft, path);
		return true;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
		throw error;
	} finally {
		await unlink(draft);
	}
}

/** Two processes may find the same dead lock: only what was found is removed, a lock taken meanwhile goes back. */
async function moveAside(path: string, found: string): Promise<void> {
	const aside = `${path}.${process.pid}.${randomUUID()}`;
	try {
		await rename(path, aside);
	} catch {
		return;
	}
	if ((await readFile(aside, "utf8")) === found) await unlink(aside);
	else await rename(aside, path);
}

async function release(path: string, mine: string): Promise<void> {
	if ((await readFile(path, "utf8").catch(() => "")) === mine) await unlink(path);
}

function parseHolder(text: string): { pid: number; started: string } | undefined {
	try {
		const { pid, started } = JSON.parse(text) as { pid: unknown; started: unknown };
		return typeof pid === "number" && typeof started === "string" ? { pid, started } : undefined;
	} catch {
		return undefined;
	}
}

function isAlive(pid: number): boolean {
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === "EPERM";
	}
}

/** Clock ticks since boot at which the process started; empty where the system does not say. */
function startOf(pid: number): string {
	try {
		const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
		// The name in parentheses may hold anything: count from its end.
		return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
	} catch {
		return "";
	}
}
