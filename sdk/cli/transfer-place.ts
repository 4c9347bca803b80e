/** What people type for a place in a collection: `ENDPOINT:/COLLECTION/PATH`. */
import { basename } from "node:path";
import { formatCollectionPath, parseCollectionPath } from "@errand/proto";
import { Complaint } from "./complaint.ts";

export interface TransferPlace {
	/** By id or name. */
	readonly endpoint: string;
	/** `/COLLECTION/PATH` */
	readonly path: string;
	/** It ended with a slash: what comes goes into it under its own name. */
	readonly into: boolean;
}

export function parsePlace(text: string): TransferPlace {
	const colon = text.indexOf(":");
	const parsed = parseCollectionPath(text.slice(colon + 1));
	if (colon < 1 || parsed === undefined)
		throw new Complaint("usage", `"${text}" is no place in a collection: write ENDPOINT:/COLLECTION/PATH`, {
			next: "errand transfer --help",
		});
	return { endpoint: text.slice(0, colon), path: formatCollectionPath(parsed), into: text.endsWith("/") };
}

/** Where something of this name arrives. */
export function destinationOf(place: TransferPlace, sourcePath: string): string {
	return place.into ? `${place.path}/${basename(sourcePath)}` : place.path;
}
