import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { computeScope } from "@errand/proto/rest";
import { SignJWT } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { accountByOutsideSubject } from "../store/identity.ts";
import { openTestCloud, openTestPostgres, type TestCloud, type TestPostgres } from "./identity.test-harness.ts";

let postgres: TestPostgres;
let issuer: TestCloud;
let cloud: TestCloud;

beforeAll(async () => {
	postgres = await openTestPostgres();
	issuer = await openTestCloud(postgres);
	cloud = await openTestCloud(postgres, { outsideIssuer: { issuer: issuer.url, audience: "funcx_service" } });
});
afterAll(async () => {
	await cloud?.close();
	await issuer?.close();
	await postgres?.close();
});

async function outsideToken(scope: string): Promise<{ token: string; subject: string }> {
	const { account } = await issuer.identity.accounts.ensureFirstAccount("admin");
	const client = await issuer.identity.accounts.createClient(account.id as never, "outsider");
	const reply = await fetch(`${issuer.url}/v2/oauth2/token`, {
		method: "POST",
		headers: { authorization: `Basic ${btoa(`${client.client_id}:${client.client_secret}`)}` },
		body: new URLSearchParams({ grant_type: "client_credentials", scope }),
	});
	return { token: ((await reply.json()) as { access_token: string }).access_token, subject: client.client_id };
}

test("a token of the outside issuer makes an account on first sight and finds it again", async () => {
	const { token, subject } = await outsideToken(computeScope);
	const caller = await cloud.identity.verifier.verify(token);
	expect(caller).toMatchObject({
		kind: "account",
		admin: false,
		operator: false,
		username: `${subject}@${new URL(issuer.url).host}`,
	});
	expect(caller.scopes.has(computeScope)).toBe(true);
	const second = await openTestCloud(
		postgres,
		{ outsideIssuer: { issuer: issuer.url, audience: "funcx_service", administrators: [subject] } },
		cloud.db,
	);
	expect(await second.identity.verifier.verify(token)).toMatchObject({ accountId: caller.accountId, admin: true });
	await second.close();
	const whoami = await fetch(`${cloud.url}/v1/whoami`, { headers: { authorization: `Bearer ${token}` } });
	expect(await whoami.json()).toMatchObject({ id: caller.accountId });
});

test("many requests with a new subject's first token make one account", async () => {
	const { token, subject } = await outsideToken(computeScope);
	const clouds = await Promise.all(
		[1, 2, 3].map(() =>
			openTestCloud(postgres, { outsideIssuer: { issuer: issuer.url, audience: "funcx_service" } }, cloud.db),
		),
	);
	const callers = await Promise.all(clouds.map(({ identity }) => identity.verifier.verify(token)));
	expect(new Set(callers.map((caller) => caller.accountId)).size).toBe(1);
	const { rows } = await cloud.db.query("select id from accounts where outside_subject = $1", [subject]);
	expect(rows).toHaveLength(1);
	for (const other of clouds) await other.close();
});

test("its tokens for another audience, without the scope asked for, or of an issuer nobody named are refused", async () => {
	const wrongAudience = await outsideToken("openid");
	await expect(cloud.identity.verifier.verify(wrongAudience.token)).rejects.toMatchObject({
		code: "INVALID_AUTH_TOKEN",
		message: expect.stringMatching(/another service/),
	});
	const { token } = await outsideToken(computeScope);
	const strict = await openTestCloud(postgres, {
		outsideIssuer: { issuer: issuer.url, audience: "funcx_service", requiredScope: "errand" },
	});
	await expect(strict.identity.verifier.verify(token)).rejects.toMatchObject({ code: "INSUFFICIENT_AUTH_SCOPE" });
	await strict.close();
	const closed = await openTestCloud(postgres);
	await expect(closed.identity.verifier.verify(token)).rejects.toMatchObject({ code: "INVALID_AUTH_TOKEN" });
	await closed.close();
});

test("while the outside issuer does not answer, its callers are told to come back and others are served", async () => {
	const { token } = await outsideToken(computeScope);
	const gone = await openTestCloud(postgres);
	await gone.close();
	const claims = JSON.parse(Buffer.from(token.split(".")[1] as string, "base64url").toString()) as object;
	const forged = `${token.split(".")[0]}.${Buffer.from(JSON.stringify({ ...claims, iss: gone.url })).toString("base64url")}.x`;
	const waiting = await openTestCloud(postgres, { outsideIssuer: { issuer: gone.url, audience: "funcx_service" } });
	for (let n = 0; n < 2; n++) {
		await expect(waiting.identity.verifier.verify(forged)).rejects.toMatchObject({ code: "NOT_READY", retryAfterS: 5 });
	}
	await waiting.close();
});

test("domains and the time of the login come from its claims; an email that nobody has proved counts for nothing", async () => {
	const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
	const jwk = { ...publicKey.export({ format: "jwk" }), kid: "1", alg: "RS256", use: "sig" };
	const documents: Record<string, object> = { "/jwks": { keys: [jwk] } };
	const server = createServer((request, response) => {
		response.setHeader("content-type", "application/json").end(JSON.stringify(documents[request.url ?? ""]));
	}).listen(0, "127.0.0.1");
	await once(server, "listening");
	const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	documents["/.well-known/openid-configuration"] = { issuer: address, jwks_uri: `${address}/jwks` };
	const campus = await openTestCloud(postgres, { outsideIssuer: { issuer: address, audience: "errand" } });
	const atS = Math.floor(Date.now() / 1000) - 100;
	const loginOf = async (claims: object) => {
		const token = await new SignJWT({ ...claims })
			.setProtectedHeader({ alg: "RS256", kid: "1" })
			.setIssuer(address)
			.setAudience("errand")
			.setSubject(JSON.stringify(claims))
			.setExpirationTime("1h")
			.sign(privateKey);
		return (await campus.identity.verifier.verify(token)).login;
	};
	try {
		expect(
			await loginOf({ preferred_username: "ada@Uni.edu", email: "ada@mail.org", email_verified: true, auth_time: atS }),
		).toEqual({ domains: ["uni.edu", "mail.org"], service: false, atMs: atS * 1000 });
		const pretended = { preferred_username: "eve", email: "eve@uni.edu", email_verified: false };
		expect(await loginOf(pretended)).toEqual({ domains: [], service: false, atMs: undefined });
		// Manager endpoints are told the account's email, and identity maps may go by it.
		expect((await accountByOutsideSubject(campus.db, address, JSON.stringify(pretended)))?.email).toBe("");
		expect(await loginOf({ preferred_username: "eve@clients" })).toMatchObject({ domains: [] });
		const long = `${"e".repeat(248)}@uni.edu.evil.org`;
		expect(await loginOf({ preferred_username: long, email: long })).toMatchObject({ domains: ["uni.edu.evil.org"] });
	} finally {
		await campus.close();
		server.close();
	}
});
