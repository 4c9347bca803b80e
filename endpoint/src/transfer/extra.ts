/** Taking away at the destination what the source does not have; what the rules leave out is left alone. */
import type { FilterRule } from "@errand/proto/rest";
import type { Work } from "./disk-threads.ts";
import { isWanted } from "./filter.ts";
import { below } from "./local-source.ts";
import type { PullJournal } from "./pull-journal.ts";

export interface ExtraOptions {
	readonly work: Work;
	readonly journal: Pick<PullJournal, "list">;
	readonly item: number;
	readonly root: string;
	/** The item's directory at the destination. */
	readonly path: string;
	readonly rules: readonly FilterRule[];
	readonly signal: AbortSignal;
}

/** Paths below the item's, as they are gone. Directories come after what was in them. */
export async function* deleteExtra(options: ExtraOptions): AsyncGenerator<string> {
	const { work, journal, item, root, path, rules, signal } = options;
	const files = new Set<string>();
	const directories = new Set<string>();
	for await (const line of journal.list()) {
		if (line.item !== item) continue;
		if (line.type === "file") files.add(line.path);
		else if (line.type === "directory") directories.add(line.path);
	}

	/** `gone`: the directory itself is too much. Yields true at the end when nothing is left in it. */
	async function* clean(inside: string, gone: boolean): AsyncGenerator<string, boolean> {
		let left = 0;
		for (const { name, directory } of await work.listNames({ root, path: below(path, inside) })) {
			signal.throwIfAborted();
			const one = below(inside, name);
			if (!isWanted(rules, directory ? "dir" : "file", name)) left++;
			else if (directory) {
				const extra = gone || !directories.has(one);
				const empty = yield* clean(one, extra);
				if (extra && empty) {
					await work.remove({ root, path: below(path, one), directory: true });
					yield one;
				} else left++;
			} else if (gone || !files.has(one)) {
				await work.remove({ root, path: below(path, one), directory: false });
				yield one;
			} else left++;
		}
		return left === 0;
	}

	yield* clean("", false);
}
