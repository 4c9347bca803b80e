/** Files that decide as whom something runs: only their owner, who is root or ourselves, may be able to change them. */
import { closeSync, fstatSync, openSync, readFileSync, type Stats } from "node:fs";
import { ConfigFault } from "../config/config.ts";

export interface TrustedFile {
	readonly text: string;
	/** Differs whenever the file was written or replaced. */
	readonly mark: string;
}

export function markOf({ ino, ctimeMs, mtimeMs, size }: Stats): string {
	return [ino, ctimeMs, mtimeMs, size].join(" ");
}

/** Throws a {@link ConfigFault} when it cannot be read, or others could have written it. */
export function readTrustedFile(path: string): TrustedFile {
	let descriptor: number;
	try {
		descriptor = openSync(path, "r");
	} catch (cause) {
		throw new ConfigFault(path, [`it cannot be read: ${(cause as Error).message}`]);
	}
	try {
		const stats = fstatSync(descriptor);
		if (!stats.isFile()) throw new ConfigFault(path, ["it is not a file"]);
		if ((stats.mode & 0o022) !== 0) throw new ConfigFault(path, [`others can write it: \`chmod go-w ${path}\``]);
		if (stats.uid !== 0 && stats.uid !== process.geteuid?.())
			throw new ConfigFault(path, [
				`it belongs to account ${stats.uid}, neither to root nor to who runs this endpoint`,
			]);
		return { text: readFileSync(descriptor, "utf8"), mark: markOf(stats) };
	} finally {
		closeSync(descriptor);
	}
}
