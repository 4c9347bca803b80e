/** The file that `errand login` writes: one login for each cloud, and which of them is meant when none is named. */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { chmod, mkdir, open, rename, unlink } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { Fault } from "@errand/proto";
import { withLockFile } from "./lock-file.ts";
import { normalizeCloudUrl, OAuthError, postForm, readTokenReply, type Tokens } from "./oauth.ts";
import { renewBeforeMs, type TokenSource } from "./token-source.ts";

export interface StoredLogin {
	readonly client_id: string;
	readonly token_endpoint: string;
	readonly revocation_endpoint?: string;
	readonly access_token: string;
	readonly refresh_token?: string;
	/** Unix milliseconds, by the clock of the machine that got the token. */
	readonly expires_at_ms: number;
}

export interface StoredLogins {
	readonly version: 1;
	/** The cloud of the last login. */
	readonly current?: string;
	/** By the cloud's address. */
	readonly clouds: Readonly<Record<string, StoredLogin>>;
}

const nobody: StoredLogins = { version: 1, clouds: {} };

/** `$ERRAND_HOME`, or `.errand` in the home directory. */
export function errandHome(): string {
	return process.env.ERRAND_HOME || join(homedir(), ".errand");
}

const pathIn = (directory: string): string => join(directory, "credentials.json");

/** Everything that is stored; nobody's when there is no file. Throws a Fault when the file is damaged. */
export function readLogins(directory = errandHome()): StoredLogins {
	const path = pathIn(directory);
	let text: string;
	try {
		text = readFileSync(path, "utf8");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return nobody;
		throw error;
	}
	try {
		const stored = JSON.parse(text) as StoredLogins;
		if (stored.version === 1 && typeof stored.clouds === "object") return stored;
	} catch {
		// Said below.
	}
	throw new Fault("REQUEST_MALFORMED", `${path} is damaged or of a newer version; move it away and log in again.`);
}

/** Whole or not at all, readable by its owner only. */
async function writeLogins(directory: string, logins: StoredLogins): Promise<void> {
	const path = pathIn(directory);
	const draft = `${path}.${randomUUID()}`;
	try {
		const file = await open(draft, "wx", 0o600);
		try {
			await file.writeFile(`${JSON.stringify(logins, null, "\t")}\n`);
			await file.sync();
		} finally {
			await file.close();
		}
		await rename(draft, path);
	} catch (error) {
		await unlink(draft).catch(() => undefined);
		throw error;
	}
}

/** Changes what is stored, one process at a time. `change` gets what is there then. */
export async function updateLogins<T>(
	directory: string,
	change: (logins: StoredLogins) => Promise<{ logins: StoredLogins; value: T }>,
): Promise<T> {
	if ((await mkdir(directory, { recursive: true, mode: 0o700 })) !== undefined) await chmod(directory, 0o700);
	return await withLockFile(join(directory, "credentials.lock"), async () => {
		const before = readLogins(directory);
		const { logins, value } = await change(before);
		if (logins !== before) await writeLogins(directory, logins);
		return value;
	});
}

/** The same login with fresh tokens; a refresh token that is not rotated stays. */
export function withTokens(login: Omit<StoredLogin, "access_token" | "expires_at_ms">, tokens: Tokens): StoredLogin {
	const refreshToken = tokens.refreshToken ?? login.refresh_token;
	return {
		...login,
		access_token: tokens.accessToken,
		expires_at_ms: tokens.expiresAtMs,
		...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
	};
}

function mustLogIn(cloudUrl: string, cause?: unknown): Fault {
	return new Fault("USER_UNAUTHENTICATED", `The login at ${cloudUrl} has ended: run errand login --cloud ${cloudUrl}`, {
		args: [cloudUrl],
		cause,
	});
}

async function refresh(cloudUrl: string, login: StoredLogin, now: () => number): Promise<StoredLogin> {
	if (login.refresh_token === undefined) throw mustLogIn(cloudUrl);
	const form = { grant_type: "refresh_token", client_id: login.client_id, refresh_token: login.refresh_token };
	try {
		return withTokens(login, readTokenReply(await postForm(login.token_endpoint, form), now()));
	} catch (error) {
		throw error instanceof OAuthError ? mustLogIn(cloudUrl, error) : error;
	}
}

export interface FileTokenSourceOptions {
	/** `errandHome()` if not given. */
	directory?: string;
	/** The cloud of the last login if not given. */
	cloudUrl?: string;
	/** Unix milliseconds; the clock of the machine if not given. */
	now?: () => number;
}

/**
 * Tokens of a stored login; undefined when nobody is logged in there. They are renewed a minute before they end, once
 * for all processes that share the file: refresh tokens work once, so whoever comes second takes what the first stored.
 */
export function fileTokenSource(options: FileTokenSourceOptions = {}): TokenSource | undefined {
	const { directory = errandHome(), now = Date.now } = options;
	const first = readLogins(directory);
	const cloudUrl = options.cloudUrl === undefined ? first.current : normalizeCloudUrl(options.cloudUrl);
	if (cloudUrl === undefined) return undefined;
	let login = first.clouds[cloudUrl];
	if (login === undefined) return undefined;
	let renewal: Promise<StoredLogin> | undefined;

	const isFresh = (candidate: StoredLogin): boolean => now() < candidate.expires_at_ms - renewBeforeMs;

	/** `refused`: the access token that must not be given again. */
	function renew(url: string, refused: string | undefined): Promise<StoredLogin> {
		return updateLogins(directory, async (logins) => {
			const stored = logins.clouds[url];
			if (stored === undefined) throw mustLogIn(url);
			if (stored.access_token !== refused && isFresh(stored)) return { logins, value: stored };
			const value = await refresh(url, stored, now);
			return { logins: { ...logins, clouds: { ...logins.clouds, [url]: value } }, value };
		});
	}

	return {
		cloudUrl,
		async accessToken({ forceRefresh = false } = {}) {
			if (!forceRefresh && login !== undefined && isFresh(login)) return login.access_token;
			renewal ??= renew(cloudUrl, forceRefresh ? login?.access_token : undefined).finally(() => {
				renewal = undefined;
			});
			login = await renewal;
			return login.access_token;
		},
	};
}
