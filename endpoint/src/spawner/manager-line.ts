/**
 * A user endpoint's line to its manager, on a descriptor that it was started with. A manager that is away is waited for:
 * the next one reads on. What does not fit meanwhile is counted.
 */
import { closeSync, fstatSync, writeSync } from "node:fs";
import { type ChildLine, formatChildLine } from "./child-line.ts";

const waitingLimitBytes = 8 * 1024 * 1024;
const slowMs = 50;
const awayMs = 1_000;

export interface ManagerLine {
	say(line: ChildLine): void;
	/** What is written by then is written. */
	close(): void;
}

/** @param descriptor a pipe's end that does not block */
export function openManagerLine(descriptor: number): ManagerLine {
	let open = isPipe(descriptor);
	let waiting: Buffer[] = [];
	let waitingBytes = 0;
	let lost = 0;
	let scheduled = false;

	function add(line: ChildLine): void {
		const bytes = Buffer.from(formatChildLine(line));
		waiting.push(bytes);
		waitingBytes += bytes.length;
	}

	function flush(): void {
		scheduled = false;
		if (lost > 0 && waitingBytes < waitingLimitBytes / 2) {
			add({ says: "lost", lines: lost });
			lost = 0;
		}
		if (!open) return;
		let all = Buffer.concat(waiting);
		try {
			while (all.length > 0) all = all.subarray(writeSync(descriptor, all));
		} catch (error) {
			const { code } = error as NodeJS.ErrnoException;
			if (code === "EAGAIN" || code === "EPIPE") {
				scheduled = true;
				setTimeout(flush, code === "EPIPE" ? awayMs : slowMs).unref();
			} else open = false;
		}
		waiting = all.length > 0 && open ? [all] : [];
		waitingBytes = all.length;
	}

	return {
		say(line) {
			if (!open) return;
			if (waitingBytes > waitingLimitBytes) {
				lost++;
				return;
			}
			add(line);
			if (scheduled) return;
			scheduled = true;
			setImmediate(flush);
		},
		close() {
			if (!open) return;
			flush();
			open = false;
			closeSync(descriptor);
		},
	};
}

/** Somebody who starts the program by hand has none. */
function isPipe(descriptor: number): boolean {
	try {
		return fstatSync(descriptor).isFIFO();
	} catch {
		return false;
	}
}
