/** How a transfer is done, as options of the verbs that begin one. */
import { syncLevels, verifyLevels } from "@errand/proto";
import type { FilterRule } from "@errand/proto/rest";
import * as z from "zod";
import type { TransferOptions } from "../src/index.ts";
import { durationMs } from "./input.ts";
import type { OptionRow } from "./verb.ts";

export const transferOptionRows: readonly OptionRow[] = [
	{ flags: "-r, --recursive", summary: "a directory with everything in it" },
	{
		flags: "-s, --sync-level <level>",
		summary: "leave out files that are there already: at all, of the same size, not older, or with the same content",
		choices: syncLevels,
	},
	{
		flags: "--verify <level>",
		summary: "compare what came, or what is on the disk (default wire)",
		choices: verifyLevels,
	},
	{ flags: "--include <glob>", summary: "files of this name, whatever is excluded", repeats: true },
	{ flags: "--exclude <glob>", summary: "leave out files and directories of this name", repeats: true },
	{ flags: "--delete-extra", summary: "delete at the destination what the source does not have" },
	{ flags: "--preserve-timestamp", summary: "copies are as old as their sources" },
	{ flags: "--skip-errors", summary: "leave out files that cannot be read, and list them" },
	{ flags: "--copy-links", summary: "links to files become copies of those files; else links are left out" },
	{ flags: "--deadline <duration>", summary: "what is not done after this long is not done any more" },
];

export const transferOptionInput = {
	recursive: z.boolean().default(false),
	syncLevel: z.enum(syncLevels).optional(),
	verify: z.enum(verifyLevels).optional(),
	include: z.array(z.string()).default([]),
	exclude: z.array(z.string()).default([]),
	deleteExtra: z.boolean().default(false),
	preserveTimestamp: z.boolean().default(false),
	skipErrors: z.boolean().default(false),
	copyLinks: z.boolean().default(false),
	deadline: durationMs.optional(),
};

/** As the cloud wants them. */
export function transferOptionsOf(
	input: z.output<z.ZodObject<typeof transferOptionInput>>,
	nowMs: number,
): Omit<TransferOptions, "source_endpoint" | "destination_endpoint" | "items"> {
	const rules: FilterRule[] = [
		...input.include.map((name) => ({ method: "include" as const, type: "file" as const, name })),
		...input.exclude.map((name) => ({ method: "exclude" as const, name })),
	];
	return {
		...(input.syncLevel && { sync_level: syncLevels.indexOf(input.syncLevel) }),
		...(input.verify && { verify: input.verify }),
		...(rules.length > 0 && { filter_rules: rules }),
		delete_destination_extra: input.deleteExtra,
		preserve_timestamp: input.preserveTimestamp,
		skip_source_errors: input.skipErrors,
		recursive_symlinks: input.copyLinks ? "copy" : "ignore",
		...(input.deadline !== undefined && { deadline: new Date(nowMs + input.deadline).toISOString() }),
	};
}
