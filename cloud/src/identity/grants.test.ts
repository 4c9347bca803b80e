import { createHash, createPublicKey, generateKeyPairSync, randomBytes } from "node:crypto";
import { type EndpointId, newId } from "@errand/proto";
import { computeScope, errandClientId, peerClientId } from "@errand/proto/rest";
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify, SignJWT } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FormBrowser } from "./browser.test-harness.ts";
import { openTestCloud, openTestPostgres, type TestCloud, type TestPostgres } from "./identity.test-harness.ts";
import { manageProjectsScope } from "./scopes.ts";
import type { TokenDocument } from "./token-document.ts";
import { revocationLagMs } from "./verify-token.ts";

let postgres: TestPostgres;
let cloud: TestCloud;
let nowOffsetMs = 0;
const password = "correct horse battery";
const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code";

beforeAll(async () => {
	postgres = await openTestPostgres();
	cloud = await openTestCloud(postgres, { clock: () => Date.now() + nowOffsetMs });
	await cloud.identity.accounts.createAccount({ username: "ada", password, admin: true, name: "Ada Lovelace" });
});
afterAll(async () => {
	await cloud?.close();
	await postgres?.close();
});

async function post(path: string, form: Record<string, string>, headers: Record<string, string> = {}) {
	const response = await fetch(`${cloud.url}${path}`, { method: "POST", body: new URLSearchParams(form), headers });
	const text = await response.text();
	return {
		status: response.status,
		body: (text === "" ? undefined : JSON.parse(text)) as TokenDocument & { error?: string },
	};
}
const token = (form: Record<string, string>, headers: Record<string, string> = {}) =>
	post("/v2/oauth2/token", form, headers);
const basic = (id: string, secret: string) => ({
	authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString("base64")}`,
});

async function whoami(accessToken: string): Promise<{ status: number; body: Record<string, unknown> }> {
	const response = await fetch(`${cloud.url}/v1/whoami`, { headers: { authorization: `Bearer ${accessToken}` } });
	return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

interface DeviceReply {
	device_code: string;
	user_code: string;
	verification_uri_complete: string;
	verification_uri: string;
	interval: number;
}

async function startDevice(scope = `${computeScope} openid`): Promise<DeviceReply> {
	const { status, body } = await post("/v2/oauth2/device", { client_id: errandClientId, scope });
	expect(status).toBe(200);
	return body as unknown as DeviceReply;
}

async function approveInBrowser(device: DeviceReply): Promise<void> {
	const browser = new FormBrowser();
	const entry = await browser.open(device.verification_uri);
	const confirm = await browser.submit(entry, { user_code: device.user_code.toLowerCase() });
	expect(confirm.html).toContain("Errand command line");
	expect(confirm.html).toContain("127.0.0.1");
	expect(confirm.html).toContain(device.user_code);
	const login = await browser.submit(confirm);
	expect(login.html).toContain("Log in");
	const done = await browser.submit(login, { username: "ada", password });
	expect(done.html).toContain("You are logged in");
}

const pollDevice = (device: DeviceReply) =>
	token({ grant_type: deviceGrant, client_id: errandClientId, device_code: device.device_code });

async function deviceLogin(scope?: string): Promise<TokenDocument> {
	const device = await startDevice(scope);
	await approveInBrowser(device);
	const { status, body } = await pollDevice(device);
	expect(status).toBe(200);
	return body;
}

/** As the public interface's native application does: PKCE, and the code shown on a page for pasting. */
async function nativeLogin(scope = `openid ${manageProjectsScope} ${computeScope} openid`): Promise<TokenDocument> {
	const verifier = randomBytes(32).toString("base64url");
	const redirect = `${cloud.url}/v2/web/auth-code`;
	const url = new URL(`${cloud.url}/v2/oauth2/authorize`);
	url.search = new URLSearchParams({
		client_id: peerClientId,
		redirect_uri: redirect,
		scope,
		state: "_default",
		response_type: "code",
		code_challenge: createHash("sha256").update(verifier).digest("base64url"),
		code_challenge_method: "S256",
		access_type: "offline",
		prefill_named_grant: "host",
	}).toString();
	const browser = new FormBrowser();
	const login = await browser.open(url);
	const consent = await browser.submit(login, { username: "ADA", password });
	expect(consent.html).toContain("Allow access?");
	const shown = await browser.submit(consent);
	const code = /<textarea[^>]*>([^<]*)</.exec(shown.html)?.[1] ?? "";
	const { status, body } = await token({
		grant_type: "authorization_code",
		client_id: peerClientId,
		code,
		code_verifier: verifier,
		redirect_uri: redirect,
	});
	expect(status).toBe(200);
	const again = await token({
		grant_type: "authorization_code",
		client_id: peerClientId,
		code: `${code}x`,
		code_verifier: verifier,
		redirect_uri: redirect,
	});
	expect(again.body.error).toBe("invalid_grant");
	return body;
}

test("NEW-23: a device logs in with a code that a person confirms in a browser", async () => {
	const device = await startDevice();
	expect(device.user_code).toMatch(/^[A-Z]{4}-[A-Z]{4}$/);
	expect(device.interval).toBe(2);
	expect((await pollDevice(device)).body.error).toBe("authorization_pending");
	await approveInBrowser(device);
	const { status, body } = await pollDevice(device);
	expect(status).toBe(200);
	expect(body).toMatchObject({ token_type: "Bearer", resource_server: "funcx_service", scope: computeScope });
	expect(body.other_tokens.map((other) => other.resource_server)).toEqual(["auth.globus.org"]);
	expect((await whoami(body.access_token)).body).toMatchObject({ username: "ada", admin: true, kind: "account" });
	expect((await pollDevice(device)).body.error).toBe("invalid_grant");
});

test("a device whose login is denied is told so", async () => {
	const device = await startDevice();
	const browser = new FormBrowser();
	// The complete address goes through a page that submits itself.
	const confirm = await browser.submit(await browser.open(device.verification_uri_complete));
	const denied = await browser.submit(confirm, {}, 1);
	expect(denied.html).toContain("You denied this login");
	expect((await pollDevice(device)).body.error).toBe("access_denied");
});

test("the public interface's native login gets the token document that its client insists on", async () => {
	const document = await nativeLogin();
	expect(Object.keys(document).sort()).toEqual(
		[
			"access_token",
			"expires_in",
			"id_token",
			"other_tokens",
			"refresh_token",
			"resource_server",
			"scope",
			"token_type",
		].sort(),
	);
	expect(document.resource_server).toBe("funcx_service");
	expect(document.scope).toBe(computeScope);
	const [auth] = document.other_tokens;
	expect(auth?.resource_server).toBe("auth.globus.org");
	expect(auth?.scope.split(" ")).toEqual(expect.arrayContaining(["openid", manageProjectsScope]));
	expect(auth?.refresh_token).not.toBe(document.refresh_token);
	// The client takes the first key, RS256, aud = its client id.
	const discovery = (await (await fetch(`${cloud.url}/.well-known/openid-configuration`)).json()) as {
		jwks_uri: string;
		id_token_signing_alg_values_supported: string[];
	};
	expect(discovery.id_token_signing_alg_values_supported).toContain("RS256");
	const jwks = (await (await fetch(discovery.jwks_uri)).json()) as { keys: { kty: string; kid: string; d?: string }[] };
	expect(jwks.keys[0]).toMatchObject({ kty: "RSA", kid: decodeProtectedHeader(document.id_token as string).kid });
	expect(jwks.keys[0]?.d).toBeUndefined();
	const { payload } = await jwtVerify(document.id_token as string, createRemoteJWKSet(new URL(discovery.jwks_uri)), {
		audience: peerClientId,
		algorithms: ["RS256"],
	});
	expect(payload.preferred_username).toBe("ada");
	const userinfo = await fetch(`${cloud.url}/v2/oauth2/userinfo`, {
		headers: { authorization: `Bearer ${auth?.access_token}` },
	});
	expect(await userinfo.json()).toMatchObject({ sub: payload.sub, identity_set: [{ sub: payload.sub }] });
	const identities = await fetch(`${cloud.url}/v2/api/identities?ids=${payload.sub}`, {
		headers: { authorization: `Bearer ${auth?.access_token}` },
	});
	expect(await identities.json()).toMatchObject({
		identities: [{ id: payload.sub, username: "ada", name: "Ada Lovelace", email: "" }],
	});
});

test("each resource server's token of the public interface's login is renewed alone, with a refresh token in the reply", async () => {
	const document = await nativeLogin();
	const [auth] = document.other_tokens;
	for (const [resourceServer, refreshToken] of [
		["auth.globus.org", auth?.refresh_token],
		["funcx_service", document.refresh_token],
		["funcx_service", document.refresh_token],
	] as const) {
		const { status, body } = await token({
			grant_type: "refresh_token",
			refresh_token: refreshToken as string,
			client_id: peerClientId,
		});
		expect(status).toBe(200);
		expect(body.resource_server).toBe(resourceServer);
		expect(body.other_tokens).toEqual([]);
		expect(body.refresh_token).toBe(refreshToken);
	}
});

test("authorization without PKCE, or with a plain challenge, is refused", async () => {
	for (const pkce of [{}, { code_challenge: "x".repeat(43), code_challenge_method: "plain" }]) {
		const url = new URL(`${cloud.url}/v2/oauth2/authorize`);
		url.search = new URLSearchParams({
			client_id: peerClientId,
			redirect_uri: `${cloud.url}/v2/web/auth-code`,
			scope: "openid",
			response_type: "code",
			...(pkce as Record<string, string>),
		}).toString();
		const page = await new FormBrowser().open(url);
		expect(page.url.pathname).toBe("/v2/web/auth-code");
		expect(page.url.searchParams.get("error")).toBe("invalid_request");
		expect(page.url.searchParams.get("code")).toBeNull();
	}
	const stranger = new URL(
		`${cloud.url}/v2/oauth2/authorize?response_type=code&scope=openid&client_id=${peerClientId}`,
	);
	stranger.searchParams.set("redirect_uri", "https://evil.example/");
	const page = await new FormBrowser().open(stranger);
	expect(page.status).toBe(400);
	expect(page.html).toContain("invalid_redirect_uri");
});

test("a refresh token works once; using it again ends the login", async () => {
	const first = await deviceLogin();
	const renew = (refreshToken: string | undefined) =>
		token({ grant_type: "refresh_token", refresh_token: refreshToken ?? "", client_id: errandClientId });
	const second = await renew(first.refresh_token);
	expect(second.status).toBe(200);
	expect(second.body.refresh_token).not.toBe(first.refresh_token);
	expect((await renew(first.refresh_token)).body.error).toBe("invalid_grant");
	expect((await renew(second.body.refresh_token)).body.error).toBe("invalid_grant");
	expect((await whoami(second.body.access_token)).status).toBe(401);
});

test("a token says when its person logged in: the browser's password, not the code that came later nor a renewal", async () => {
	const loginOf = async (document: TokenDocument) =>
		(await cloud.identity.verifier.verify(document.access_token)).login;
	const browser = new FormBrowser();
	const through = async (form: Record<string, string> = {}) => {
		const { status, body } = await post("/v2/oauth2/device", {
			client_id: errandClientId,
			scope: computeScope,
			...form,
		});
		expect(status, JSON.stringify(body)).toBe(200);
		const device = body as unknown as DeviceReply;
		const confirm = await browser.submit(await browser.open(device.verification_uri), { user_code: device.user_code });
		const next = await browser.submit(confirm);
		const asked = next.html.includes("Password");
		if (asked) await browser.submit(next, { username: "ada@uni.edu", password });
		return { asked, document: (await pollDevice(device)).body };
	};
	await cloud.identity.accounts.createAccount({
		...{ username: "ada@uni.edu", email: "ada@Mail.example.org", password, admin: false },
	});
	const startedS = Math.floor(Date.now() / 1000);
	const first = await through();
	expect(first.asked).toBe(true);
	const login = await loginOf(first.document);
	expect(login).toMatchObject({ domains: ["uni.edu", "mail.example.org"], service: false });
	expect((login?.atMs ?? 0) / 1000).toBeGreaterThanOrEqual(startedS);
	// The browser's session is an hour old now.
	await cloud.db.query(
		`update oauth_records set payload = jsonb_set(payload, '{loginTs}', to_jsonb((payload->>'loginTs')::bigint - 3600))
		where kind = 'Session' and payload ? 'loginTs'`,
	);
	const remembered = await through();
	expect(remembered.asked).toBe(false);
	expect(startedS - ((await loginOf(remembered.document))?.atMs ?? 0) / 1000).toBeGreaterThan(3500);
	const renewed = await token({
		...{ grant_type: "refresh_token", refresh_token: remembered.document.refresh_token ?? "" },
		client_id: errandClientId,
	});
	expect(await loginOf(renewed.body)).toEqual(await loginOf(remembered.document));
	const fresh = await through({ max_age: "1", scope: `${computeScope} openid` });
	expect(fresh.asked).toBe(true);
	expect(((await loginOf(fresh.document))?.atMs ?? 0) / 1000).toBeGreaterThanOrEqual(startedS);
	const [auth] = (await nativeLogin()).other_tokens;
	expect(decodeJwt(auth?.access_token ?? "").auth_time).toBeGreaterThanOrEqual(startedS);
});

test("a service client's login has no time and no person's domain, and an endpoint's key is no login", async () => {
	const ada = await cloud.identity.accounts.accountByUsername("ada");
	const client = await cloud.identity.accounts.createClient(ada?.id as never, "nightly");
	const key = await cloud.identity.accounts.createEndpointKey(newId<EndpointId>(), ada?.id as never);
	const scope = { grant_type: "client_credentials", scope: computeScope };
	const callerOf = async (id: string, secret: string) =>
		cloud.identity.verifier.verify((await token(scope, basic(id, secret))).body.access_token);
	const { login } = await callerOf(client.client_id, client.client_secret);
	expect(login).toEqual({ domains: ["clients"], service: true, atMs: undefined });
	expect(await callerOf(key.clientId, key.clientSecret)).not.toHaveProperty("login");
});

test("of two refreshes with one token at the same moment at most one succeeds", async () => {
	const first = await deviceLogin(computeScope);
	const replies = await Promise.all(
		[1, 2, 3].map(() =>
			token({ grant_type: "refresh_token", refresh_token: first.refresh_token ?? "", client_id: errandClientId }),
		),
	);
	expect(replies.filter((reply) => reply.status === 200).length).toBeLessThanOrEqual(1);
	expect(replies.filter((reply) => reply.status !== 200).every((reply) => reply.body.error === "invalid_grant")).toBe(
		true,
	);
});

test("a service client gets one token for each resource server it asks for", async () => {
	const ada = await cloud.identity.accounts.accountByUsername("ada");
	const client = await cloud.identity.accounts.createClient(ada?.id as never, "nightly");
	const headers = basic(client.client_id, client.client_secret);
	const compute = await token({ grant_type: "client_credentials", scope: `${computeScope} ${computeScope}` }, headers);
	expect(compute.body).toMatchObject({ resource_server: "funcx_service", scope: computeScope, other_tokens: [] });
	expect(compute.body.refresh_token).toBeUndefined();
	expect((await whoami(compute.body.access_token)).body).toMatchObject({
		id: client.client_id,
		username: `${client.client_id}@clients`,
		admin: false,
	});
	const auth = await token(
		{ grant_type: "client_credentials", scope: `openid ${manageProjectsScope} openid` },
		headers,
	);
	expect(auth.body.resource_server).toBe("auth.globus.org");
	expect(auth.body.scope.split(" ")).toEqual(expect.arrayContaining(["openid", manageProjectsScope]));
	const userinfo = await fetch(`${cloud.url}/v2/oauth2/userinfo`, {
		headers: { authorization: `Bearer ${auth.body.access_token}` },
	});
	expect(await userinfo.json()).toMatchObject({ sub: client.client_id, identity_set: [{ sub: client.client_id }] });
	expect((await token({ grant_type: "client_credentials", scope: "nonsense" }, headers)).body.error).toBe(
		"invalid_scope",
	);
	const wrong = await token(
		{ grant_type: "client_credentials", scope: computeScope },
		basic(client.client_id, "wrong"),
	);
	expect(wrong).toMatchObject({ status: 401, body: { error: "invalid_client" } });
});

test("NEW-23: an endpoint's key says which endpoint it is; a new key ends the old one and its tokens", async () => {
	const ada = await cloud.identity.accounts.accountByUsername("ada");
	const endpoint = newId<EndpointId>();
	const old = await cloud.identity.accounts.createEndpointKey(endpoint, ada?.id as never);
	const scope = { grant_type: "client_credentials", scope: computeScope };
	const oldToken = (await token(scope, basic(old.clientId, old.clientSecret))).body.access_token;
	expect(await cloud.identity.verifier.verify(oldToken)).toMatchObject({
		kind: "endpoint",
		endpointId: endpoint,
		accountId: ada?.id,
		admin: false,
	});
	const fresh = await cloud.identity.accounts.createEndpointKey(endpoint, ada?.id as never);
	expect((await token(scope, basic(old.clientId, old.clientSecret))).body.error).toBe("invalid_client");
	nowOffsetMs += revocationLagMs;
	await expect(cloud.identity.verifier.verify(oldToken)).rejects.toMatchObject({ code: "INVALID_AUTH_TOKEN" });
	expect((await token(scope, basic(fresh.clientId, fresh.clientSecret))).status).toBe(200);
});

test("introspection tells a service about a live token and nothing about another", async () => {
	const ada = await cloud.identity.accounts.accountByUsername("ada");
	const client = await cloud.identity.accounts.createClient(ada?.id as never, "resource server");
	const headers = basic(client.client_id, client.client_secret);
	const login = await deviceLogin(computeScope);
	const live = await post("/v2/oauth2/token/introspect", { token: login.access_token }, headers);
	expect(live.body).toMatchObject({ active: true, aud: "funcx_service", scope: computeScope, sub: ada?.id });
	expect(live.body).toMatchObject({ username: "ada", name: "Ada Lovelace", identity_set: [{ sub: ada?.id }] });
	const rubbish = await post("/v2/oauth2/token/introspect", { token: "a.b.c" }, headers);
	expect(rubbish.body).toEqual({ active: false });
	const anonymous = await post("/v2/oauth2/token/introspect", { token: login.access_token }, {});
	expect(anonymous.status).toBe(400);
});

test("a revoked token is refused within the lag, and its whole login with it, but no other login", async () => {
	const renew = (login: TokenDocument) =>
		token({ grant_type: "refresh_token", refresh_token: login.refresh_token ?? "", client_id: errandClientId });
	const other = await deviceLogin();
	for (const shown of ["access_token", "refresh_token"] as const) {
		const login = await deviceLogin();
		expect((await whoami(login.access_token)).status).toBe(200);
		const revoked = await post("/v2/oauth2/token/revoke", { token: login[shown] ?? "", client_id: errandClientId });
		expect(revoked.status).toBe(200);
		nowOffsetMs += revocationLagMs;
		const refused = await whoami(login.access_token);
		expect(refused.status).toBe(401);
		expect(refused.body).toMatchObject({ code: "INVALID_AUTH_TOKEN", http_status_code: 401, status: "Failed" });
		expect((await renew(login)).body.error).toBe("invalid_grant");
	}
	expect((await renew(other)).status).toBe(200);
});

test("logging out of the browser leaves what it connected logged in", async () => {
	const browser = new FormBrowser();
	const device = await startDevice();
	const confirm = await browser.submit(await browser.open(device.verification_uri), { user_code: device.user_code });
	await browser.submit(await browser.submit(confirm), { username: "ada", password });
	const login = (await pollDevice(device)).body;
	// The browser remembers who logged in: the second device takes one click.
	const second = await startDevice();
	const again = await browser.submit(await browser.open(second.verification_uri), { user_code: second.user_code });
	expect((await browser.submit(again)).html).toContain("You are logged in");
	expect((await pollDevice(second)).status).toBe(200);
	const logOut = await browser.open(`${cloud.url}/v2/oauth2/logout`);
	expect((await browser.submit(logOut)).html).toContain("You are logged out");
	const renewed = await token({
		grant_type: "refresh_token",
		refresh_token: login.refresh_token ?? "",
		client_id: errandClientId,
	});
	expect(renewed.status).toBe(200);
	expect((await whoami(renewed.body.access_token)).status).toBe(200);
	const third = await startDevice();
	const asked = await browser.submit(await browser.open(third.verification_uri), { user_code: third.user_code });
	expect((await browser.submit(asked)).html).toContain("Password");
});

test("tokens that ended, are for another service, or are forged are refused", async () => {
	const login = await deviceLogin();
	const { verifier } = cloud.identity;
	const refused = async (bad: string, reason: RegExp): Promise<void> => {
		await expect(verifier.verify(bad)).rejects.toMatchObject({
			code: "INVALID_AUTH_TOKEN",
			message: expect.stringMatching(reason),
		});
	};
	await refused(login.other_tokens[0]?.access_token ?? "", /another service/);
	await refused(login.id_token ?? "", /not valid/);
	const claims = decodeJwt(login.access_token);
	const { kid } = decodeProtectedHeader(login.access_token);
	const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString("base64url");
	await refused(`${encode({ alg: "none", typ: "at+jwt" })}.${encode(claims)}.`, /not valid/);
	// The public key as a shared secret.
	const jwks = (await (await fetch(`${cloud.url}/v2/oauth2/jwks`)).json()) as { keys: [Record<string, string>] };
	const pem = createPublicKey({ key: jwks.keys[0], format: "jwk" }).export({ type: "spki", format: "pem" });
	const header = { alg: "HS256", typ: "at+jwt", kid: kid as string };
	await refused(await new SignJWT(claims).setProtectedHeader(header).sign(Buffer.from(pem)), /not valid/);
	const stranger = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
	await refused(await new SignJWT(claims).setProtectedHeader({ ...header, alg: "RS256" }).sign(stranger), /not valid/);
	await refused("rubbish", /not valid/);
	await refused("x".repeat(10_000), /too long/);
	expect((await whoami(login.access_token)).status).toBe(200);
	const before = nowOffsetMs;
	nowOffsetMs += 49 * 3_600_000;
	await refused(login.access_token, /has ended/);
	nowOffsetMs = before;
});

test("keys rotate: new tokens are signed by the new key, the old ones stay good until they end", async () => {
	const before = await deviceLogin(computeScope);
	await cloud.identity.rotateKeys();
	const after = await deviceLogin(computeScope);
	const oldKid = decodeProtectedHeader(before.access_token).kid;
	const newKid = decodeProtectedHeader(after.access_token).kid;
	expect(newKid).not.toBe(oldKid);
	const jwks = (await (await fetch(`${cloud.url}/v2/oauth2/jwks`)).json()) as { keys: { kid: string }[] };
	expect(jwks.keys[0]?.kid).toBe(newKid);
	expect(jwks.keys.map((key) => key.kid)).toContain(oldKid);
	nowOffsetMs += revocationLagMs;
	expect((await whoami(before.access_token)).status).toBe(200);
	expect((await whoami(after.access_token)).status).toBe(200);
	const { rows } = await cloud.db.query("select private_jwk from signing_keys where kid = $1", [oldKid]);
	expect(rows).toEqual([{ private_jwk: null }]);
	const before2 = nowOffsetMs;
	nowOffsetMs += 60 * 3_600_000;
	await cloud.identity.rotateKeys();
	nowOffsetMs = before2;
	const later = (await (await fetch(`${cloud.url}/v2/oauth2/jwks`)).json()) as { keys: { kid: string }[] };
	expect(later.keys.map((key) => key.kid)).not.toContain(oldKid);
});

test("another process accepts tokens of a key that was made after it started", async () => {
	const second = await openTestCloud(postgres, { issuerUrl: cloud.url }, cloud.db);
	try {
		await cloud.identity.rotateKeys();
		const login = await deviceLogin(computeScope);
		expect(await second.identity.verifier.verify(login.access_token)).toMatchObject({ username: "ada" });
	} finally {
		await second.close();
	}
});

test("processes that rotate at the same moment agree on one key, and what either signs is good at the other", async () => {
	const second = await openTestCloud(postgres, { issuerUrl: cloud.url }, cloud.db);
	try {
		await Promise.all([cloud.identity.rotateKeys(), second.identity.rotateKeys(), second.identity.rotateKeys()]);
		const { rows } = await cloud.db.query("select from signing_keys where retired_at is null");
		expect(rows).toHaveLength(1);
		const before = await deviceLogin(computeScope);
		await second.identity.rotateKeys();
		// The first process has not noticed yet.
		const after = await deviceLogin(computeScope);
		for (const login of [before, after]) {
			expect(await second.identity.verifier.verify(login.access_token)).toMatchObject({ username: "ada" });
		}
	} finally {
		await second.close();
	}
});

test("what is stored of tokens, codes and secrets does not open anything", async () => {
	const login = await nativeLogin();
	const { rows } = await cloud.db.query<{ text: string }>(
		`select coalesce(string_agg(payload::text, ' '), '') as text from oauth_records
		 where kind in ('AccessToken', 'RefreshToken', 'AuthorizationCode', 'ClientCredentials', 'Session')`,
	);
	const text = rows[0]?.text ?? "";
	expect(text).not.toContain(login.refresh_token);
	expect(text).not.toContain(decodeJwt(login.access_token).jti);
});
