import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, test } from "vitest";
import { storeGlobusTokens } from "./globus-tokens.ts";

let scratch: string;
beforeEach(() => {
	scratch = mkdtempSync(join(tmpdir(), "errand-globus-"));
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

function reply(identity: string, issuer = "https://errand.example") {
	const signed = (claims: object) => `header.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.signature`;
	const token = (service: string) => ({
		access_token: signed({ iss: issuer, aud: service, sub: identity }),
		refresh_token: `refresh-${service}-${identity}`,
		token_type: "Bearer",
		expires_in: 3600,
		resource_server: service,
		scope: `all of ${service}`,
	});
	return { ...token("compute"), id_token: signed({ iss: issuer, sub: identity }), other_tokens: [token("auth")] };
}

function rows(path: string): { namespace: string; resource_server: string; token_data_json: string }[] {
	const database = new DatabaseSync(path, { readOnly: true });
	try {
		const found = database.prepare("select * from token_storage order by namespace, resource_server desc").all();
		return found as unknown as ReturnType<typeof rows>;
	} finally {
		database.close();
	}
}

test("each service's token is a row that says who it acts as and when it ends, in a file for its owner only", async () => {
	const directory = join(scratch, "new");
	const stored = await storeGlobusTokens(directory, reply("ada"), 1_000_500);
	expect(stored).toEqual({
		path: join(directory, "storage.db"),
		identity: "ada",
		services: ["compute", "auth"],
		replaced: [],
	});
	expect(statSync(directory).mode & 0o777).toBe(0o700);
	expect(statSync(stored.path).mode & 0o777).toBe(0o600);
	const [compute] = rows(stored.path);
	expect(compute).toMatchObject({ namespace: "user/local", resource_server: "compute" });
	expect(JSON.parse(compute?.token_data_json ?? "")).toEqual({
		resource_server: "compute",
		identity_id: "ada",
		scope: "all of compute",
		access_token: reply("ada").access_token,
		refresh_token: "refresh-compute-ada",
		expires_at_seconds: 4600,
		token_type: "Bearer",
	});
});

test("another person's login replaces the first, and what is kept of other clouds stays", async () => {
	const { path } = await storeGlobusTokens(scratch, reply("ada"), 0);
	const database = new DatabaseSync(path);
	database.exec(
		"insert into token_storage values ('user/production', 'compute', '{}'), ('user/local', 'old', 'rubbish')",
	);
	database.close();
	const { replaced } = await storeGlobusTokens(scratch, reply("bob"), 0);
	expect(replaced.sort()).toEqual(["refresh-auth-ada", "refresh-compute-ada"]);
	const found = rows(path);
	expect(found.map((row) => `${row.namespace} ${row.resource_server}`)).toEqual([
		"user/local compute",
		"user/local auth",
		"user/production compute",
	]);
	expect(found[0]?.token_data_json).toContain("refresh-compute-bob");
	expect(JSON.stringify(found)).not.toContain("ada");
	// What another cloud made is not shown to this one.
	expect((await storeGlobusTokens(scratch, reply("bob", "https://f.example"), 0)).replaced).toEqual([]);
});

test("a reply without refresh tokens or an id_token is refused, and a file that is no database is not overwritten", async () => {
	const { id_token: _, ...anonymous } = reply("ada");
	await expect(storeGlobusTokens(scratch, anonymous, 0)).rejects.toMatchObject({ code: "NOT_READY" });
	writeFileSync(join(scratch, "storage.db"), "these are somebody's notes, and not a database at all");
	await expect(storeGlobusTokens(scratch, reply("ada"), 0)).rejects.toThrow(/not a database/);
});
