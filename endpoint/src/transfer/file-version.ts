/** Which content of a file is meant: another size, time or inode is another content. */
import type { Stats } from "node:fs";

export const versionOf = (stats: Pick<Stats, "size" | "mtimeMs" | "ino">): string =>
	`${stats.size}-${stats.mtimeMs}-${stats.ino}`;
