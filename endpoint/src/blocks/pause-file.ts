/**
 * `paused.json` in the endpoint's directory: while it is there no block is asked for. The guard or a person writes it,
 * a person takes it away, and it is looked at, not watched: change notices do not cross a parallel file system.
 */
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";

const pauseRecord = z.object({
	reason: z.string(),
	since: z.iso.datetime(),
	by: z.enum(["guard", "person"]),
});
export type Pause = z.infer<typeof pauseRecord>;

const fileOf = (directory: string): string => join(directory, "paused.json");

/** Undefined when the endpoint is not paused. A file that makes no sense pauses, too: somebody meant something by it. */
export async function readPause(directory: string): Promise<Pause | undefined> {
	let text: string;
	try {
		text = await readFile(fileOf(directory), "utf8");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
		throw error;
	}
	try {
		return pauseRecord.parse(JSON.parse(text));
	} catch {
		return { reason: "paused.json is damaged", since: new Date(0).toISOString(), by: "person" };
	}
}

/** Inverse of {@link removePause}. */
export async function writePause(directory: string, pause: Pause): Promise<void> {
	const path = fileOf(directory);
	await writeFile(`${path}.new`, `${JSON.stringify(pause)}\n`, { mode: 0o600 });
	await rename(`${path}.new`, path);
}

export async function removePause(directory: string): Promise<void> {
	await rm(fileOf(directory), { force: true });
}
