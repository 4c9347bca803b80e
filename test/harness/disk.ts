import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** What the files below a directory take on the disk, in bytes. */
export function diskBytes(directory: string): number {
	let bytes = 0;
	for (const name of names(directory)) {
		try {
			bytes += lstatSync(join(directory, name)).blocks * 512;
		} catch {
			// removed meanwhile
		}
	}
	return bytes;
}

function names(directory: string): string[] {
	try {
		return readdirSync(directory, { recursive: true }).map(String);
	} catch {
		return []; // a directory in it was removed meanwhile
	}
}
