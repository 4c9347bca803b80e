/** The end of what a block's job printed: the first thing that a person asks for when no manager came. */
import { open } from "node:fs/promises";

const tailBytes = 8 * 1024;
const tailLines = 8;
const tailCharacters = 800;

/** Its last lines that say something, in one; empty when there is nothing to be read. `secrets` are blotted out. */
export async function tailOfLog(path: string, secrets: readonly string[]): Promise<string> {
	const file = await open(path, "r").catch(() => undefined);
	if (!file) return "";
	try {
		const { size } = await file.stat();
		const start = Math.max(0, size - tailBytes);
		const buffer = Buffer.alloc(size - start);
		const { bytesRead } = await file.read(buffer, 0, buffer.length, start);
		let text = buffer.subarray(0, bytesRead).toString("utf8");
		for (const secret of secrets) if (secret !== "") text = text.replaceAll(secret, "…");
		const lines = text
			.split("\n")
			.map((line) => readable(line.trim()))
			.filter((line) => line !== "");
		// What a manager says again and again is said once.
		const said = [...new Set(lines.toReversed())].toReversed();
		return said.slice(-tailLines).join("; ").slice(-tailCharacters);
	} catch {
		return "";
	} finally {
		await file.close();
	}
}

/** The manager writes its log as JSON lines; people want the sentence and what belongs to it. */
function readable(line: string): string {
	if (!line.startsWith("{")) return line;
	try {
		const { msg, address, failure, reason, err } = JSON.parse(line) as Record<string, unknown>;
		if (typeof msg !== "string") return line;
		const more = [address, failure, reason, (err as { message?: unknown } | undefined)?.message]
			.filter((value) => value !== undefined)
			.map((value) => (typeof value === "string" ? value : JSON.stringify(value)));
		return more.length === 0 ? msg : `${msg} (${more.join(", ")})`;
	} catch {
		return line;
	}
}
