/** Blocks that have not ended, on disk: written before the scheduler is asked, so that no block is forgotten. */
import { open, readFile, rename } from "node:fs/promises";
import * as z from "zod";
import type { Block, BlockState } from "./block.ts";

const jobState = { jobId: z.string(), sinceMs: z.number() };
const file = z.object({
	blocks: z.array(
		z.object({
			id: z.uuid(),
			state: z.discriminatedUnion("at", [
				z.object({ at: z.literal("requested"), sinceMs: z.number() }),
				z.object({ at: z.literal("submitted"), ...jobState }),
				z.object({ at: z.literal("active"), ...jobState }),
				z.object({ at: z.literal("draining"), ...jobState, reason: z.string() }),
			]),
		}),
	),
});

/** Empty when there is no file. Inverse of {@link writeBlocks}. */
export async function readBlocks(path: string): Promise<Block[]> {
	let text: string;
	try {
		text = await readFile(path, "utf8");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
		throw error;
	}
	return file.parse(JSON.parse(text)).blocks.map(({ id, state }) => ({ id, state: state as BlockState }));
}

/** Durable when it resolves; a crash leaves the old file or the new one. */
export async function writeBlocks(path: string, blocks: Iterable<Block>): Promise<void> {
	const content = JSON.stringify({ blocks: [...blocks].filter((block) => block.state.at !== "ended") });
	const next = await open(`${path}.new`, "w", 0o600);
	try {
		await next.writeFile(content);
		await next.sync();
	} finally {
		await next.close();
	}
	await rename(`${path}.new`, path);
}
