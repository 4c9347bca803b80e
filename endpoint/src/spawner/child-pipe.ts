/**
 * The manager's end of a user endpoint's line to it. It is a pipe with a name, so that the next manager can read on; only
 * the manager's account can open it, and the process has its end from its start. How much is read of it in a second is
 * bounded: a process that talks too much waits.
 */
import { execFileSync } from "node:child_process";
import { closeSync, constants, openSync, readSync, rmSync } from "node:fs";
import { Socket } from "node:net";
import { type ChildLine, lineLimitBytes, parseChildLine } from "./child-line.ts";

const linesPerSecond = 2_000;
/** Of lines that do not end, too. */
const bytesPerSecond = 1024 * 1024;
/** What is left in it when the process has ended; more only comes when another process has its end and writes on. */
const pipeBytes = 64 * 1024;
/** It is not held back for less than this. */
const shortestPauseMs = 100;

export interface ChildPipe {
	/** Of the process; the manager closes its own copy when the process has started. */
	openWritingEnd(): number;
	/** Reads what is left, after the process has ended: no more than a pipe holds. */
	drain(): void;
	/** The name stays: the next manager reads on. */
	close(): void;
	remove(): void;
}

export interface ChildPipeEvents {
	line(line: ChildLine): void;
	/** So many lines were none that is understood. */
	nonsense(lines: number): void;
}

/** Of a process that goes on without one: nothing more is heard of it. */
export const lostPipe: ChildPipe = {
	openWritingEnd() {
		throw new Error("the pipe of this process is lost");
	},
	drain: () => undefined,
	close: () => undefined,
	remove: () => undefined,
};

/** @param fresh the process is still to be started, so nothing may be there of an earlier one */
export function openChildPipe(path: string, fresh: boolean, events: ChildPipeEvents): ChildPipe {
	if (fresh) {
		rmSync(path, { force: true });
		execFileSync("mkfifo", ["-m", "600", "--", path], { stdio: ["ignore", "ignore", "pipe"] });
	}
	const { O_RDWR, O_RDONLY, O_WRONLY, O_NONBLOCK, O_NOFOLLOW } = constants;
	// For writing too: so the end of the last writer is not the end of the pipe.
	const socket = new Socket({
		fd: openSync(path, O_RDWR | O_NONBLOCK | O_NOFOLLOW),
		readable: true,
		writable: false,
	}).unref();
	let rest = Buffer.alloc(0);
	let tooLong = false;
	let dueMs = performance.now();
	let resuming: NodeJS.Timeout | undefined;

	function take(piece: Buffer): number {
		let lines = 0;
		let nonsense = 0;
		let all = rest.length > 0 ? Buffer.concat([rest, piece]) : piece;
		for (let end = all.indexOf(10); end >= 0; end = all.indexOf(10)) {
			const line = tooLong || end > lineLimitBytes ? undefined : parseChildLine(all.toString("utf8", 0, end));
			tooLong = false;
			lines++;
			if (line === undefined) nonsense++;
			else events.line(line);
			all = all.subarray(end + 1);
		}
		if (all.length > lineLimitBytes) {
			tooLong = true;
			all = Buffer.alloc(0);
		}
		rest = Buffer.from(all);
		if (nonsense > 0) events.nonsense(nonsense);
		return lines;
	}

	socket.on("error", () => undefined);
	socket.on("data", (piece: Buffer) => {
		// A piece without an end of line is work, too.
		const seconds = Math.max((take(piece) || 1) / linesPerSecond, piece.length / bytesPerSecond);
		dueMs = Math.max(dueMs, performance.now()) + seconds * 1000;
		const aheadMs = dueMs - performance.now();
		if (aheadMs < shortestPauseMs) return;
		socket.pause();
		resuming = setTimeout(() => socket.resume(), aheadMs).unref();
	});

	function close(): void {
		clearTimeout(resuming);
		socket.destroy();
	}
	return {
		openWritingEnd: () => openSync(path, O_WRONLY | O_NONBLOCK | O_NOFOLLOW),
		drain() {
			// `read` tells listeners, too: what it returns would be taken twice.
			socket.removeAllListeners("data");
			for (let piece = socket.read() as Buffer | null; piece !== null; piece = socket.read() as Buffer | null)
				take(piece);
			const piece = Buffer.alloc(pipeBytes);
			let descriptor: number | undefined;
			try {
				descriptor = openSync(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
				for (let left = pipeBytes, length = 1; length > 0 && left > 0; left -= length) {
					length = readSync(descriptor, piece, 0, left, null);
					take(piece.subarray(0, length));
				}
			} catch (error) {
				// Nothing more; or somebody has removed the pipe, and what was in it.
				const { code } = error as NodeJS.ErrnoException;
				if (code !== "EAGAIN" && code !== "ENOENT") throw error;
			} finally {
				if (descriptor !== undefined) closeSync(descriptor);
			}
		},
		close,
		remove() {
			close();
			rmSync(path, { force: true });
		},
	};
}
