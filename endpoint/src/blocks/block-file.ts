/**
 * What is known of blocks, on disk: those that have not ended, written before the scheduler is asked, so that no block
 * is forgotten; and what is remembered of the ended ones.
 */
import { open, readFile, rename } from "node:fs/promises";
import * as z from "zod";
import type { Logger } from "../service/logger.ts";
import { type Block, type BlockState, toldNothing } from "./block.ts";
import { type Guard, noFailures } from "./guard.ts";

const jobState = { jobId: z.string(), sinceMs: z.number() };
const file = z.object({
	blocks: z.array(
		z.object({
			id: z.uuid(),
			// Files of the first version have none of these.
			queue: z.string().default("default"),
			nodes: z.int().min(1).default(1),
			walltimeMs: z.number().optional(),
			attempt: z.int().min(0).default(0),
			requestedMs: z.number().default(0),
			runningSinceMs: z.number().optional(),
			endsAtMs: z.number().optional(),
			spentNodeMs: z.number().default(0),
			state: z.discriminatedUnion("at", [
				z.object({ at: z.literal("requested"), sinceMs: z.number() }),
				z.object({ at: z.literal("submitted"), ...jobState }),
				z.object({ at: z.literal("held"), ...jobState }),
				z.object({ at: z.literal("starting"), ...jobState }),
				z.object({ at: z.literal("active"), ...jobState }),
				z.object({ at: z.literal("draining"), ...jobState, reason: z.string() }),
			]),
		}),
	),
	spentNodeMs: z.number().min(0).default(0),
	guards: z
		.record(z.string(), z.object({ failedStarts: z.int(), failedSubmits: z.int(), reason: z.string() }))
		.default({}),
});

export interface BlockRecords {
	readonly blocks: readonly Block[];
	/** What blocks that have ended took. */
	readonly spentNodeMs: number;
	/** By queue; what went wrong last. */
	readonly guards: ReadonlyMap<string, Guard>;
}

/**
 * Nothing when there is no file. A damaged one is set aside: the scheduler still knows the jobs, and they are ended.
 * Inverse of {@link writeBlocks}.
 */
export async function readBlocks(path: string, log: Logger): Promise<BlockRecords> {
	let text: string;
	try {
		text = await readFile(path, "utf8");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return { blocks: [], spentNodeMs: 0, guards: new Map() };
		throw error;
	}
	try {
		const read = file.parse(JSON.parse(text));
		return {
			blocks: read.blocks.map(
				(block): Block => ({
					...block,
					walltimeMs: block.walltimeMs,
					runningSinceMs: block.runningSinceMs,
					endsAtMs: block.endsAtMs,
					told: toldNothing,
					state: block.state as BlockState,
				}),
			),
			spentNodeMs: read.spentNodeMs,
			guards: new Map(Object.entries(read.guards).map(([queue, guard]) => [queue, { ...noFailures, ...guard }])),
		};
	} catch (error) {
		log.error({ err: error, aside: `${path}.damaged` }, "blocks: the list is damaged and was set aside");
		await rename(path, `${path}.damaged`);
		return { blocks: [], spentNodeMs: 0, guards: new Map() };
	}
}

/** Durable when it resolves; a crash leaves the old file or the new one. */
export async function writeBlocks(path: string, { blocks, spentNodeMs, guards }: BlockRecords): Promise<void> {
	const content = JSON.stringify({
		blocks: blocks.filter(({ state }) => state.at !== "ended").map(({ told: _, ...kept }) => kept),
		spentNodeMs,
		guards: Object.fromEntries(
			[...guards].map(([queue, { failedStarts, failedSubmits, reason }]) => [
				queue,
				{ failedStarts, failedSubmits, reason },
			]),
		),
	});
	const next = await open(`${path}.new`, "w", 0o600);
	try {
		await next.writeFile(content);
		await next.sync();
	} finally {
		await next.close();
	}
	await rename(`${path}.new`, path);
}
