/** The end that is read, on this machine. Its paths come from another agent: they are looked for below the items only. */
import { parseCollectionPath } from "@errand/proto";
import type { FilterRule, TransferItem } from "@errand/proto/rest";
import type { Work } from "./disk-threads.ts";
import { FileFault, faultOfSystem, plainFault } from "./file-fault.ts";
import type { ListedLine, ListLine, Source } from "./source.ts";
import type { ListedFile } from "./source-jobs.ts";

/** Of collections → absolute paths. */
export type Roots = ReadonlyMap<string, string>;

interface Place {
	readonly root: string;
	readonly path: string;
}

export interface LocalSourceOptions {
	readonly roots: Roots;
	readonly work: Work;
	readonly items: readonly TransferItem[];
	readonly rules: readonly FilterRule[];
	readonly symlinks: "ignore" | "copy";
}

/** Where `/COLLECTION/PATH` is. Throws a FileFault. */
export function placeIn(roots: Roots, collectionPath: string): Place {
	const parsed = parseCollectionPath(collectionPath);
	const root = parsed && roots.get(parsed.collection);
	if (parsed === undefined || root === undefined)
		throw new FileFault("FILE_NOT_FOUND", `${collectionPath}: there is no such collection here`);
	return { root, path: parsed.path };
}

export const below = (path: string, rest: string): string => [path, rest].filter((part) => part !== "").join("/");

export function openLocalSource({ roots, work, items, rules, symlinks }: LocalSourceOptions): Source {
	function placeOf(item: number, path: string): Place {
		const found = items[item];
		if (found === undefined || (path !== "" && !found.recursive))
			throw new FileFault("PATH_OUTSIDE_COLLECTION", `${path} is not part of this transfer`);
		// A path that goes up is refused below, and one that a link leads away is as well.
		if (path.split("/").includes("..")) throw new FileFault("PATH_OUTSIDE_COLLECTION", `${path} goes up`);
		const base = placeIn(roots, found.source_path);
		return { root: base.root, path: below(base.path, path) };
	}

	const line = (item: number, base: string, file: ListedFile): ListedLine => ({
		...file,
		type: "file",
		item,
		path: base === "" ? file.path : file.path.slice(base.length).replace(/^\//, ""),
	});

	async function* tree(item: number): AsyncGenerator<ListLine> {
		const base = placeOf(item, "");
		const waiting = [""];
		for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
			try {
				const job = { root: base.root, path: below(base.path, path), rules, symlinks };
				const { files, directories, symlinks: skipped } = await work.listDirectory(job);
				yield { type: "directory", item, path };
				for (const file of files) yield line(item, base.path, file);
				if (skipped > 0) yield { type: "symlinks", item, path, count: skipped };
				const inner = directories.map((one) => (base.path === "" ? one : one.slice(base.path.length + 1)));
				waiting.push(...inner.reverse());
			} catch (error) {
				yield { type: "fault", item, path, fault: plainFault(faultOfSystem(error, path)) };
			}
		}
	}

	return {
		async *list(signal) {
			for (const [item, { recursive }] of items.entries()) {
				if (recursive) {
					for await (const one of tree(item)) {
						signal.throwIfAborted();
						yield one;
					}
					continue;
				}
				try {
					const place = placeOf(item, "");
					yield line(item, place.path, await work.listFile(place));
				} catch (error) {
					yield {
						type: "fault",
						item,
						path: "",
						fault: plainFault(faultOfSystem(error, items[item]?.source_path ?? "")),
					};
				}
			}
		},
		chunk: async ({ item, path, version }, offset, length, digest) =>
			await work.readChunk({ ...placeOf(item, path), version, offset, length, digest }),
		async pack(files, digest) {
			const roots = new Set(files.map((file) => placeOf(file.item, file.path).root));
			const [root, ...others] = roots;
			if (root === undefined || others.length > 0) throw new FileFault("FILE_ERROR", "a pack is of one collection");
			const places = files.map(({ item, path, version }) => ({ path: placeOf(item, path).path, version }));
			return await work.readPack({ root, files: places, digest });
		},
		digest: async ({ item, path }) => await work.digestFile(placeOf(item, path)),
		async look({ item, path }) {
			return { ...line(item, "", await work.listFile(placeOf(item, path))), path };
		},
		close() {},
	};
}
