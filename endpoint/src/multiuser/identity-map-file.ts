/** The endpoint's identity mapping file: read again when it changes; a file with a fault leaves the map as it was. */
import { statSync } from "node:fs";
import type { Logger } from "../service/logger.ts";
import type { Identity, MappedName } from "./identity.ts";
import { type IdentityMap, parseIdentityMap } from "./identity-map.ts";
import { markOf, readTrustedFile } from "./trusted-file.ts";

/** A poll, because such files lie on network file systems; the field's own period. */
const lookEveryMs = 5_000;

export interface IdentityMapFileOptions {
	readonly path: string;
	/** Mapping programs are told. */
	readonly endpointId: string;
	readonly log: Logger;
	/** Between two looks. */
	readonly lookEveryMs?: number;
}

export interface IdentityMapFile extends IdentityMap {
	close(): void;
}

/** Also of a file that is not there, or not to be had now. */
function markNow(path: string): string {
	try {
		return markOf(statSync(path));
	} catch (error) {
		return (error as Error).message;
	}
}

/** Throws a ConfigFault when the file has a fault now. */
export function openIdentityMapFile({ path, endpointId, log, ...options }: IdentityMapFileOptions): IdentityMapFile {
	const read = (): { map: IdentityMap; mark: string } => {
		const { text, mark } = readTrustedFile(path);
		return { map: parseIdentityMap(text, path, endpointId, log), mark };
	};
	let current = read();
	let seen = current.mark;
	const look = (): void => {
		const mark = markNow(path);
		if (mark === seen) return;
		seen = mark;
		try {
			current = read();
			log.info({ path }, "identity mapping: read again");
		} catch (error) {
			log.error({ err: error, path }, "identity mapping: the new file has a fault; the old map stays in effect");
		}
	};
	const timer = setInterval(look, options.lookEveryMs ?? lookEveryMs).unref();
	return {
		map: (identities: readonly Identity[]): Promise<MappedName | undefined> => current.map.map(identities),
		close: () => clearInterval(timer),
	};
}
