/** What a manager shows to prove that it was started for a block of this endpoint: a keyed hash of the block's id. */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

export interface BlockTokens {
	/** Inverse of {@link check}. */
	issue(blockId: string): string;
	/** The block that this token was issued for; undefined when it was not issued here. Takes the same time for any wrong token. */
	check(token: string): string | undefined;
}

/** Tokens of this directory's secret, made at the first call (0600). */
export async function loadBlockTokens(directory: string): Promise<BlockTokens> {
	const path = join(directory, "link-secret");
	let secret = await readFile(path).catch((error: NodeJS.ErrnoException) => {
		if (error.code === "ENOENT") return undefined;
		throw error;
	});
	if (secret?.length !== 32) {
		secret = randomBytes(32);
		await writeFile(`${path}.new`, secret, { mode: 0o600 });
		await rename(`${path}.new`, path);
	}
	return blockTokens(secret);
}

export function blockTokens(secret: Uint8Array): BlockTokens {
	const proof = (blockId: string): string => createHmac("sha256", secret).update(blockId).digest("base64url");
	return {
		issue: (blockId) => `${blockId}.${proof(blockId)}`,
		check(token) {
			const dot = token.indexOf(".");
			if (dot < 1) return undefined;
			const blockId = token.slice(0, dot);
			const expected = Buffer.from(proof(blockId));
			const shown = Buffer.from(token.slice(dot + 1));
			return shown.length === expected.length && timingSafeEqual(shown, expected) ? blockId : undefined;
		},
	};
}
