/** Reading log files: the end of one, and what is added to it. */
import { open } from "node:fs/promises";
import type { Context } from "./context.ts";

const chunkBytes = 64 * 1024;
/** Enough for any `--lines` that a person reads; a longer tail is cut here. */
const tailLimitBytes = 4 * 1024 * 1024;

/** The last lines of a file, of those after `sinceBytes`; empty when there is no file. */
export async function tailOf(
	path: string,
	lines: number,
	sinceBytes = 0,
): Promise<{ lines: string[]; sizeBytes: number }> {
	const file = await openIfThere(path);
	if (!file) return { lines: [], sizeBytes: 0 };
	try {
		const { size } = await file.stat();
		const from = Math.max(Math.min(sinceBytes, size), size - tailLimitBytes);
		const bytes = Buffer.alloc(size - from);
		const { bytesRead } = await file.read(bytes, 0, bytes.length, from);
		const text = bytes.toString("utf8", 0, bytesRead);
		const all = text.endsWith("\n") ? text.slice(0, -1).split("\n") : text === "" ? [] : text.split("\n");
		return { lines: lines === 0 ? [] : all.slice(-lines), sizeBytes: from + bytesRead };
	} finally {
		await file.close();
	}
}

/** Lines added after `offsetBytes`, until the context's signal says stop. A file that became shorter is read anew. */
export async function* followFile(
	context: Pick<Context, "pause" | "signal">,
	path: string,
	offsetBytes: number,
): AsyncGenerator<string> {
	let offset = offsetBytes;
	let rest = "";
	const decoder = new TextDecoder();
	while (!context.signal.aborted) {
		const file = await openIfThere(path);
		if (file) {
			try {
				const { size } = await file.stat();
				if (size < offset) offset = 0;
				while (offset < size) {
					const bytes = Buffer.alloc(Math.min(chunkBytes, size - offset));
					const { bytesRead } = await file.read(bytes, 0, bytes.length, offset);
					if (bytesRead === 0) break;
					offset += bytesRead;
					const lines = (rest + decoder.decode(bytes.subarray(0, bytesRead), { stream: true })).split("\n");
					rest = lines.pop() ?? "";
					yield* lines;
				}
			} finally {
				await file.close();
			}
		}
		await context.pause(250);
	}
}

async function openIfThere(path: string): Promise<Awaited<ReturnType<typeof open>> | undefined> {
	try {
		return await open(path, "r");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
		throw error;
	}
}

const levels: Readonly<Record<number, string>> = {
	10: "trace",
	20: "debug",
	30: "info",
	40: "warn",
	50: "error",
	60: "fatal",
};
const unsaid = new Set(["level", "time", "msg", "pid", "hostname", "v"]);

/** A structured log line for people: time, level, message, fields. Any other line as it is. */
export function formatLogLine(line: string): string {
	if (!line.startsWith("{")) return line;
	let fields: Record<string, unknown>;
	try {
		fields = JSON.parse(line) as Record<string, unknown>;
	} catch {
		return line;
	}
	if (typeof fields.msg !== "string") return line;
	const level =
		typeof fields.level === "number" ? (levels[fields.level] ?? String(fields.level)) : String(fields.level ?? "");
	const at = new Date(fields.time as string | number);
	const time = Number.isNaN(at.getTime()) ? "" : at.toISOString().slice(0, 19).replace("T", " ");
	const said = Object.entries(fields)
		.filter(([key]) => !unsaid.has(key))
		.map(([key, value]) => `${key}=${typeof value === "object" ? JSON.stringify(value) : String(value)}`);
	return [time, level.padEnd(5), fields.msg, ...said].join(" ").trimEnd();
}
