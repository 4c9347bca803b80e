/** Identity behind the cloud's own application, with its headers, its limits and its settings. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { computeScope, errandClientId, peerClientId } from "@errand/proto/rest";
import express from "express";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openCloudUnderTest } from "../http/cloud-under-test.ts";
import { FormBrowser } from "./browser.test-harness.ts";
import { openTestCloud, openTestPostgres, type TestCloud, type TestPostgres } from "./identity.test-harness.ts";
import { operatorTokenFile } from "./operator-token.ts";

let postgres: TestPostgres;
let identity: TestCloud;
let cloud: Awaited<ReturnType<typeof openCloudUnderTest>>;
const router = express.Router();

beforeAll(async () => {
	postgres = await openTestPostgres();
	cloud = await openCloudUnderTest({ identityRouter: router });
	identity = await openTestCloud(postgres, { issuerUrl: cloud.url });
	router.use(identity.identity.router);
});
afterAll(async () => {
	await cloud?.[Symbol.asyncDispose]();
	await identity?.close();
	await postgres?.close();
});

test("a person logs in through the application's pages, and a program gets its tokens", async () => {
	const password = "correct horse battery";
	await identity.identity.accounts.createAccount({ username: "ada", password, admin: true });
	const browser = new FormBrowser();
	const url = new URL(`${cloud.url}/v2/oauth2/authorize`);
	url.search = new URLSearchParams({
		client_id: peerClientId,
		redirect_uri: `${cloud.url}/v2/web/auth-code`,
		scope: `openid ${computeScope}`,
		response_type: "code",
		code_challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
		code_challenge_method: "S256",
	}).toString();
	const consent = await browser.submit(await browser.open(url), { username: "ada", password });
	const shown = await browser.submit(consent);
	const reply = await fetch(`${cloud.url}/v2/oauth2/token`, {
		method: "POST",
		body: new URLSearchParams({
			grant_type: "authorization_code",
			client_id: peerClientId,
			code: /<textarea[^>]*>([^<]*)</.exec(shown.html)?.[1] ?? "",
			code_verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
			redirect_uri: `${cloud.url}/v2/web/auth-code`,
		}),
	});
	expect(reply.headers.get("cache-control")).toBe("no-store");
	const document = (await reply.json()) as { access_token: string; other_tokens: { access_token: string }[] };
	const whoami = await fetch(`${cloud.url}/v1/whoami`, {
		headers: { authorization: `Bearer ${document.access_token}` },
	});
	const { id } = (await whoami.json()) as { id: string };
	const identities = await fetch(`${cloud.url}/v2/api/identities?ids=${id}`, {
		headers: { authorization: `Bearer ${document.other_tokens[0]?.access_token}` },
	});
	expect(await identities.json()).toMatchObject({ identities: [{ id, username: "ada" }] });
});

test("pages keep their own policy, style and icon under the application's headers", async () => {
	const page = await fetch(`${cloud.url}/device`);
	expect(page.headers.get("content-security-policy")).toContain("style-src 'self'");
	for (const [path, type] of [
		["/v2/web/identity.css", "text/css"],
		["/v2/web/errand.svg", "image/svg+xml"],
	]) {
		const file = await fetch(`${cloud.url}${path}`);
		expect(file.status).toBe(200);
		expect(file.headers.get("content-type")).toContain(type);
	}
});

test("nothing secret is logged: no passwords, codes, tokens or client secrets", async () => {
	const operator = (await readFile(join(identity.stateDirectory, operatorTokenFile), "utf8")).trim();
	const made = await fetch(`${cloud.url}/v1/clients`, {
		method: "POST",
		headers: { authorization: `Bearer ${operator}`, "content-type": "application/json" },
		body: JSON.stringify({ name: "nightly" }),
	});
	const client = (await made.json()) as { client_id: string; client_secret: string };
	const reply = await fetch(`${cloud.url}/v2/oauth2/token`, {
		method: "POST",
		headers: { authorization: `Basic ${btoa(`${client.client_id}:${client.client_secret}`)}` },
		body: new URLSearchParams({ grant_type: "client_credentials", scope: computeScope }),
	});
	const { access_token: token } = (await reply.json()) as { access_token: string };
	const device = await fetch(`${cloud.url}/v2/oauth2/device`, {
		method: "POST",
		body: new URLSearchParams({ client_id: errandClientId, scope: computeScope }),
	});
	const { device_code: deviceCode } = (await device.json()) as { device_code: string };
	const text = JSON.stringify(cloud.lines);
	expect(text).toContain("/v2/oauth2/token");
	for (const secret of [operator, client.client_secret, token, deviceCode, "correct horse"]) {
		expect(text).not.toContain(secret);
	}
});
