/**
 * The file in which Globus Compute's SDK and endpoint daemon keep a person's tokens: a SQLite database, one row for each
 * service. Written here, they find themselves logged in.
 */
import { chmodSync, closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { Fault } from "@errand/proto";
import * as z from "zod";

const fileName = "storage.db";
/** Where their programs look for a person's tokens when `GLOBUS_SDK_ENVIRONMENT` is `local`. */
const namespace = "user/local";
/** The layout that `globus_sdk` 3 and 4 read. */
const schemaVersion = "2";

const entry = z.object({
	access_token: z.string(),
	refresh_token: z.string(),
	token_type: z.string(),
	expires_in: z.number(),
	resource_server: z.string(),
	scope: z.string(),
});
const tokenDocument = entry.extend({ id_token: z.string(), other_tokens: z.array(entry) });

const kept = z.object({ access_token: z.string(), refresh_token: z.string() });

const claims = z.object({ iss: z.string().optional(), sub: z.string().optional() });

function parseJson(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}

/** What a token says, without a check of its signature; nothing when it is none of that kind. */
function claimsOf(token: string): z.infer<typeof claims> {
	return claims.safeParse(parseJson(Buffer.from(token.split(".")[1] ?? "", "base64url").toString())).data ?? {};
}

export interface GlobusTokens {
	/** The file, 0600. */
	path: string;
	/** The identity that its programs act as. */
	identity: string;
	/** The services that there are tokens for. */
	services: string[];
	/** Refresh tokens of the same issuer that were there before; nobody uses them any more. */
	replaced: string[];
}

/**
 * Puts the tokens of one login into `directory` (made 0700), in place of those of whoever was logged in there.
 * Rejects with a Fault `NOT_READY` when the reply is not a token document with refresh tokens and an id_token.
 */
export async function storeGlobusTokens(
	directory: string,
	reply: Readonly<Record<string, unknown>>,
	nowMs: number,
): Promise<GlobusTokens> {
	const parsed = tokenDocument.safeParse(reply);
	if (!parsed.success) {
		throw new Fault("NOT_READY", "The cloud's token reply lacks what Globus Compute keeps; is the cloud up to date?", {
			cause: parsed.error,
		});
	}
	// It came straight from its issuer, so what it says is taken as it is.
	const { sub: identity, iss: issuer } = claimsOf(parsed.data.id_token);
	if (identity === undefined) throw new Fault("NOT_READY", "The cloud's id_token does not say whose it is.");
	const rows = [parsed.data, ...parsed.data.other_tokens].map((token) => ({
		service: token.resource_server,
		json: JSON.stringify({
			resource_server: token.resource_server,
			identity_id: identity,
			scope: token.scope,
			access_token: token.access_token,
			refresh_token: token.refresh_token,
			expires_at_seconds: Math.floor(nowMs / 1000 + token.expires_in),
			token_type: token.token_type,
		}),
	}));
	if (mkdirSync(directory, { recursive: true, mode: 0o700 }) !== undefined) chmodSync(directory, 0o700);
	const path = join(directory, fileName);
	// Before the database library makes it readable for everybody.
	closeSync(openSync(path, "a", 0o600));
	chmodSync(path, 0o600);
	const { DatabaseSync } = await import("node:sqlite");
	const database = new DatabaseSync(path);
	try {
		database.exec("pragma busy_timeout = 10000");
		database.exec("begin immediate");
		for (const [table, columns, key] of [
			["token_storage", ["namespace", "resource_server", "token_data_json"], "namespace, resource_server"],
			["sdk_storage_adapter_internal", ["attribute", "value"], "attribute"],
		] as const) {
			const typed = columns.map((column) => `${column} VARCHAR NOT NULL`).join(", ");
			database.exec(`create table if not exists ${table} (${typed}, primary key (${key}))`);
		}
		database
			.prepare("insert or ignore into sdk_storage_adapter_internal (attribute, value) values (?, ?)")
			.run("globus-sdk.database_schema_version", schemaVersion);
		const before = database.prepare("select token_data_json from token_storage where namespace = ?").all(namespace);
		// Rows of two identities in one place are refused by its readers.
		database.prepare("delete from token_storage where namespace = ?").run(namespace);
		const insert = database.prepare(
			"insert into token_storage (namespace, resource_server, token_data_json) values (?, ?, ?)",
		);
		for (const { service, json } of rows) insert.run(namespace, service, json);
		database.exec("commit");
		const replaced = before.flatMap((row) => {
			const { success, data } = kept.safeParse(parseJson(String(row.token_data_json)));
			// What another issuer made is not shown to this one.
			return success && claimsOf(data.access_token).iss === issuer ? [data.refresh_token] : [];
		});
		return { path, identity, services: rows.map((row) => row.service), replaced };
	} finally {
		database.close();
	}
}
