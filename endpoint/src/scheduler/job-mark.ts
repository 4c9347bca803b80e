/** What makes a batch job findable: whose endpoint's it is, and which block's. One word, the same in every scheduler. */
import { createHash } from "node:crypto";

/** Says the endpoint without telling its path to everybody who lists jobs. */
export function endpointMark(directory: string): string {
	return createHash("sha256").update(directory).digest("hex").slice(0, 16);
}

export interface JobMark {
	readonly endpoint: string;
	readonly blockId: string;
}

/** Of letters, digits, dots and dashes: it needs no quotes anywhere. */
export function formatMark({ endpoint, blockId }: JobMark): string {
	return `errand.${endpoint}.${blockId}`;
}

/** The mark that stands somewhere in the text, if there is one. */
export function parseMark(text: string): JobMark | undefined {
	const [, endpoint, blockId] = /errand\.([0-9a-f]{16})\.([A-Za-z0-9-]+)/.exec(text) ?? [];
	return endpoint === undefined || blockId === undefined ? undefined : { endpoint, blockId };
}
