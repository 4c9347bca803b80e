/** Random secrets, and how they are kept and compared. */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

/** 256 random bits as text that fits a URL, a header and a shell word. */
export function newSecret(): string {
	return randomBytes(32).toString("base64url");
}

/** What is stored of a random secret. (Passwords need `password.ts`.) */
export function secretDigest(secret: string): Buffer {
	return createHash("sha256").update(secret).digest();
}

/** Whether `secret` is the one that `digest` was made from, in a time that says nothing about how far they agree. */
export function secretMatches(secret: string, digest: Uint8Array): boolean {
	const other = secretDigest(secret);
	return other.length === digest.length && timingSafeEqual(other, digest);
}
