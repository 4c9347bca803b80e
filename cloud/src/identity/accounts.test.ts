import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { computeScope, errandClientId } from "@errand/proto/rest";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createAccounts } from "./accounts.ts";
import { FormBrowser } from "./browser.test-harness.ts";
import { openTestCloud, openTestPostgres, type TestCloud, type TestPostgres } from "./identity.test-harness.ts";
import { LoginLimit } from "./login-limit.ts";
import { operatorTokenFile } from "./operator-token.ts";
import { hashPassword, verifyPassword } from "./password.ts";

let postgres: TestPostgres;
let cloud: TestCloud;
let operator: string;

beforeAll(async () => {
	postgres = await openTestPostgres();
	cloud = await openTestCloud(postgres);
	operator = (await readFile(join(cloud.stateDirectory, operatorTokenFile), "utf8")).trim();
});
afterAll(async () => {
	await cloud?.close();
	await postgres?.close();
});

async function call(method: string, path: string, token?: string, body?: unknown) {
	const response = await fetch(`${cloud.url}${path}`, {
		method,
		headers: {
			"content-type": "application/json",
			...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
		},
		...(body === undefined ? {} : { body: JSON.stringify(body) }),
	});
	const text = await response.text();
	return { status: response.status, headers: response.headers, body: text === "" ? undefined : JSON.parse(text) };
}

test("the first account is made once, and its password is told once", async () => {
	// Before there is any, the operator acts as an account that owns nothing, and may make the first.
	expect((await call("GET", "/v1/whoami", operator)).body).toMatchObject({ username: "operator", admin: true });
	expect((await call("POST", "/v1/clients", operator, { name: "early" })).body).toMatchObject({ code: "FORBIDDEN" });
	const first = await cloud.identity.accounts.ensureFirstAccount("root");
	expect(first.account).toMatchObject({ username: "root", admin: true });
	expect(first.password?.length).toBeGreaterThanOrEqual(20);
	const again = await cloud.identity.accounts.ensureFirstAccount("root");
	expect(again).toEqual({ account: first.account });
});

test("the operator's token is 0600 in a 0700 directory, and acts as the first administrator", async () => {
	expect((await stat(join(cloud.stateDirectory, operatorTokenFile))).mode & 0o777).toBe(0o600);
	expect((await stat(cloud.stateDirectory)).mode & 0o777).toBe(0o700);
	expect((await call("GET", "/v1/whoami", operator)).body).toMatchObject({ username: "root", admin: true });
	expect(await cloud.identity.verifier.verify(operator)).toMatchObject({ operator: true, admin: true });
	expect((await call("GET", "/v1/whoami", `${operator}x`)).status).toBe(401);
	expect((await call("GET", "/v1/whoami")).body).toMatchObject({ code: "USER_UNAUTHENTICATED" });
});

test("the operator approves a waiting device for an account; nobody else may", async () => {
	const form = new URLSearchParams({ client_id: errandClientId, scope: `${computeScope} openid` });
	const reply = await fetch(`${cloud.url}/v2/oauth2/device`, { method: "POST", body: form });
	const device = (await reply.json()) as { device_code: string; user_code: string };
	const approve = (token: string | undefined, username = "root") =>
		call("POST", "/v1/device-approvals", token, { user_code: device.user_code, username });
	expect((await approve(undefined)).status).toBe(401);
	expect((await approve(operator, "nobody")).body).toMatchObject({ code: "ACCOUNT_NOT_FOUND" });
	expect((await approve(operator)).status).toBe(204);
	expect((await approve(operator)).body).toMatchObject({ code: "RESOURCE_CONFLICT" });
	const got = await fetch(`${cloud.url}/v2/oauth2/token`, {
		method: "POST",
		body: new URLSearchParams({
			grant_type: "urn:ietf:params:oauth:grant-type:device_code",
			client_id: errandClientId,
			device_code: device.device_code,
		}),
	});
	const document = (await got.json()) as { access_token: string; refresh_token: string; id_token: string };
	expect(document.refresh_token).toBeTypeOf("string");
	expect(document.id_token).toBeTypeOf("string");
	// A person's own token, even an administrator's, is not the operator's.
	expect((await approve(document.access_token)).body).toMatchObject({ code: "FORBIDDEN" });
});

test("administrators make and list accounts; others may not, and no reply carries a password", async () => {
	const made = await call("POST", "/v1/accounts", operator, { username: "grace", password: "a long password" });
	expect(made.status).toBe(201);
	expect(made.body).toMatchObject({ username: "grace", admin: false });
	const taken = await call("POST", "/v1/accounts", operator, { username: "GRACE", password: "a long password" });
	expect(taken.body).toMatchObject({ code: "RESOURCE_CONFLICT", http_status_code: 409 });
	const short = await call("POST", "/v1/accounts", operator, { username: "x", password: "short" });
	expect(short.status).toBe(422);
	const list = await call("GET", "/v1/accounts", operator);
	expect(list.body.items.map((account: { username: string }) => account.username)).toEqual(["root", "grace"]);
	expect(JSON.stringify(list.body)).not.toContain("scrypt");

	const client = (await call("POST", "/v1/clients", operator, { name: "nightly" })).body;
	const reply = await fetch(`${cloud.url}/v2/oauth2/token`, {
		method: "POST",
		headers: { authorization: `Basic ${btoa(`${client.client_id}:${client.client_secret}`)}` },
		body: new URLSearchParams({ grant_type: "client_credentials", scope: computeScope }),
	});
	const { access_token: token } = (await reply.json()) as { access_token: string };
	expect((await call("GET", "/v1/accounts", token)).body).toMatchObject({ code: "FORBIDDEN" });
	expect((await call("POST", "/v1/accounts", token, { username: "eve", password: "a long password" })).status).toBe(
		403,
	);
});

test("passwords are kept as salted scrypt with their parameters, and wrong ones are told apart", async () => {
	const stored = await hashPassword("пароль-長い-password");
	expect(stored).toMatch(/^scrypt\$32768\$8\$1\$[\w-]{22}\$[\w-]{43}$/);
	expect(await hashPassword("пароль-長い-password")).not.toBe(stored);
	expect(await verifyPassword("пароль-長い-password", stored)).toEqual({ matches: true, outdated: false });
	expect((await verifyPassword("password", stored)).matches).toBe(false);
	expect((await verifyPassword("password", null)).matches).toBe(false);
	const { rows } = await cloud.db.query<{ password_hash: string }>(
		"select password_hash from accounts where username = 'grace'",
	);
	expect(rows[0]?.password_hash).toMatch(/^scrypt\$/);
});

test("more logins at one moment than can be hashed are asked to come back", async () => {
	const tries = Array.from({ length: 25 }, () => verifyPassword("password", null).then(() => "hashed"));
	const outcomes = await Promise.allSettled(tries);
	const refused = outcomes.filter((outcome) => outcome.status === "rejected");
	expect(refused).toHaveLength(5);
	expect(refused[0]?.reason).toMatchObject({ code: "TOO_MANY_REQUESTS", retryAfterS: 5 });
	expect((await verifyPassword("password", null)).matches).toBe(false);
});

test("after ten wrong passwords an account must wait, even with the right one, and is told how long", async () => {
	let nowMs = 0;
	const accounts = createAccounts(cloud.db, () => nowMs);
	for (let n = 0; n < 10; n++) expect(await accounts.logIn("grace", "wrong", `10.0.0.${n}`)).toBeUndefined();
	const limited = { code: "TOO_MANY_REQUESTS", retryAfterS: 60 };
	await expect(accounts.logIn("Grace", "a long password", "10.0.1.1")).rejects.toMatchObject(limited);
	nowMs += 61_000;
	expect(await accounts.logIn("grace", "a long password", "10.0.1.1")).toMatchObject({ username: "grace" });
});

test("one address that tries many accounts must wait, and the memory of failures is bounded", () => {
	let nowMs = 0;
	const limit = new LoginLimit({ burst: 3, forgiveMs: 1000, keys: 2, now: () => nowMs });
	for (let n = 0; n < 3; n++) limit.failed("a");
	expect(() => limit.check("a")).toThrow(expect.objectContaining({ retryAfterS: 1 }));
	expect(() => limit.check("b")).not.toThrow();
	limit.failed("b", "c");
	expect(() => limit.check("a")).not.toThrow();
	for (let n = 0; n < 5; n++) limit.failed("c");
	nowMs += 3_500;
	expect(() => limit.check("c")).toThrow();
	nowMs += 1_000;
	expect(() => limit.check("c")).not.toThrow();
});

test("the login page answers 429 with Retry-After when somebody guesses, and says neither that nor which account exists", async () => {
	const browser = new FormBrowser();
	const form = new URLSearchParams({ client_id: errandClientId, scope: computeScope });
	const reply = await fetch(`${cloud.url}/v2/oauth2/device`, { method: "POST", body: form });
	const device = (await reply.json()) as { verification_uri: string; user_code: string };
	const entry = await browser.open(device.verification_uri);
	let page = await browser.submit(await browser.submit(entry, { user_code: device.user_code }));
	for (let n = 0; n < 10; n++) {
		page = await browser.submit(page, { username: "nobody<script>", password: "guess" });
		expect(page.status).toBe(401);
		expect(page.html).toContain("Username or password is wrong.");
		expect(page.html).not.toContain("<script>");
	}
	page = await browser.submit(page, { username: "nobody<script>", password: "guess" });
	expect(page.status).toBe(429);
	expect(page.html).toContain("Too many failed attempts");
});

test("the cloud says how to find its way, without authentication", async () => {
	expect((await call("GET", "/v1/cloud")).body).toMatchObject({ issuer: cloud.url, client_id: errandClientId });
});

test("pages forbid scripts, frames and foreign form targets; links follow the issuer, not the Host header", async () => {
	const page = await fetch(`${cloud.url}/device`);
	expect(page.headers.get("content-security-policy")).toMatch(/default-src 'none'.*frame-ancestors 'none'/);
	expect(page.headers.get("content-type")).toContain("text/html");
	const discovery = await fetch(`${cloud.url}/.well-known/openid-configuration`, {
		headers: { "x-forwarded-host": "evil.example", "x-forwarded-proto": "https" },
	});
	const document = (await discovery.json()) as Record<string, string>;
	expect(document.token_endpoint).toBe(`${cloud.url}/v2/oauth2/token`);
	expect(document.device_authorization_endpoint).toBe(`${cloud.url}/v2/oauth2/device`);
	expect(document.introspection_endpoint).toBe(`${cloud.url}/v2/oauth2/token/introspect`);
	expect(document.userinfo_endpoint).toBe(`${cloud.url}/v2/oauth2/userinfo`);
});

test("an address that guesses device codes must wait", async () => {
	const browser = new FormBrowser();
	let page = await browser.open(`${cloud.url}/device`);
	for (let n = 0; n < 20; n++) {
		page = await browser.submit(page, { user_code: "bbbbcccc" });
		expect(page.html).toContain("No login waits for this code");
	}
	page = await browser.submit(page, { user_code: "bbbbcccc" });
	expect(page.status).toBe(429);
	expect(page.html).toContain("Too many failed attempts");
});
