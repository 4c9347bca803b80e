/** Password hashes: scrypt, with its parameters written beside the hash so that they can be raised later. */
import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from "node:crypto";
import { Fault } from "@errand/proto";

/** 32 MiB and about 80 ms of one core for each try. */
const current = { N: 2 ** 15, r: 8, p: 1 } as const;
const hashBytes = 32;
/** Above what `current` needs, so that a stored hash with other parameters cannot eat the memory. */
const memoryLimitBytes = 256 * 1024 * 1024;

/**
 * One hash at a time: Node hashes on the same four threads that write files, and a burst of logins must not hold up
 * what the broker and the blob store write there.
 */
const queueLimit = 20;
let waiting = 0;
let last: Promise<unknown> = Promise.resolve();

async function derive(password: string, salt: Buffer, options: ScryptOptions): Promise<Buffer> {
	if (waiting >= queueLimit) {
		throw new Fault("TOO_MANY_REQUESTS", "Too many people log in at this moment. Wait 5 s and try again.", {
			retryAfterS: 5,
		});
	}
	waiting++;
	const key = last.then(() => deriveNow(password, salt, options));
	last = key.catch(() => undefined);
	try {
		return await key;
	} finally {
		waiting--;
	}
}

function deriveNow(password: string, salt: Buffer, options: ScryptOptions): Promise<Buffer> {
	return new Promise((resolve, reject) => {
		// The same word typed on two keyboards may arrive composed or decomposed: normalize.
		scrypt(password.normalize("NFKC"), salt, hashBytes, { ...options, maxmem: memoryLimitBytes }, (error, key) => {
			if (error === null) resolve(key);
			else reject(error);
		});
	});
}

/** `scrypt$N$r$p$salt$hash`, the last two in base64url. */
export async function hashPassword(password: string): Promise<string> {
	const salt = randomBytes(16);
	const key = await derive(password, salt, current);
	return ["scrypt", current.N, current.r, current.p, salt.toString("base64url"), key.toString("base64url")].join("$");
}

let decoy: Promise<string> | undefined;

/**
 * Whether the password is the one behind `stored`. Without a stored hash (no such account) it takes as long and says no.
 * `outdated`: the hash was made with other parameters than new ones get; hash again while the password is at hand.
 */
export async function verifyPassword(
	password: string,
	stored: string | null,
): Promise<{ matches: boolean; outdated: boolean }> {
	decoy ??= hashPassword(randomBytes(16).toString("hex"));
	const [scheme, n, r, p, salt, hash] = (stored ?? (await decoy)).split("$");
	if (scheme !== "scrypt" || salt === undefined || hash === undefined) {
		throw new Error(`a stored password hash has the unknown scheme ${scheme}`);
	}
	const options = { N: Number(n), r: Number(r), p: Number(p) };
	const expected = Buffer.from(hash, "base64url");
	const actual = await derive(password, Buffer.from(salt, "base64url"), options);
	const equal = expected.length === actual.length && timingSafeEqual(actual, expected);
	return {
		matches: equal && stored !== null,
		outdated: options.N !== current.N || options.r !== current.r || options.p !== current.p,
	};
}
