/** NEW-24: the pages of logging in, asked by browsers that somebody else steers. */
import { computeScope, errandClientId, peerClientId } from "@errand/proto/rest";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FormBrowser } from "./browser.test-harness.ts";
import { openTestCloud, openTestPostgres, type TestCloud, type TestPostgres } from "./identity.test-harness.ts";

let postgres: TestPostgres;
let cloud: TestCloud;

beforeAll(async () => {
	postgres = await openTestPostgres();
	cloud = await openTestCloud(postgres);
	await cloud.identity.accounts.createAccount({ username: "ada", password: "correct horse", admin: false });
});
afterAll(async () => {
	await cloud?.close();
	await postgres?.close();
});

async function askForDevice(): Promise<{ device_code: string; user_code: string }> {
	const reply = await fetch(`${cloud.url}/v2/oauth2/device`, {
		method: "POST",
		body: new URLSearchParams({ client_id: errandClientId, scope: computeScope }),
	});
	return (await reply.json()) as { device_code: string; user_code: string };
}

async function poll(deviceCode: string): Promise<{ error?: string; access_token?: string }> {
	const reply = await fetch(`${cloud.url}/v2/oauth2/token`, {
		method: "POST",
		body: new URLSearchParams({
			grant_type: "urn:ietf:params:oauth:grant-type:device_code",
			client_id: errandClientId,
			device_code: deviceCode,
		}),
	});
	return (await reply.json()) as { error?: string; access_token?: string };
}

test("behind https cookies are for https only, for scripts never, and for other sites' forms never", async () => {
	const secure = await openTestCloud(postgres, { issuerUrl: "https://errand.example.org" });
	const cookies = (await fetch(`${secure.url}/device`)).headers.getSetCookie();
	expect(cookies.length).toBeGreaterThan(0);
	for (const cookie of cookies) {
		expect(cookie.toLowerCase()).toMatch(/; *secure/);
		expect(cookie.toLowerCase()).toMatch(/; *httponly/);
		expect(cookie.toLowerCase()).toMatch(/; *samesite=lax/);
	}
	await secure.close();
});

test("another site's form can neither confirm a device nor log in, for it has neither the page's secret nor its cookie", async () => {
	const { user_code, device_code } = await askForDevice();
	const browser = new FormBrowser();
	await browser.open(`${cloud.url}/device`);
	for (const xsrf of ["", "guessed"]) {
		const form = new URLSearchParams({ xsrf, user_code, confirm: "yes" });
		expect((await browser.open(`${cloud.url}/device`, form)).html).not.toContain("You are logged in");
	}
	const login = await fetch(`${cloud.url}/v2/web/interaction/abcdefghijklmnopqrstu/login`, {
		method: "POST",
		body: new URLSearchParams({ username: "ada", password: "correct horse" }),
		redirect: "manual",
	});
	expect(login.status).toBe(400);
	expect(await poll(device_code)).toMatchObject({ error: "authorization_pending" });
});

test("the answer of a login goes to registered addresses only", async () => {
	for (const redirect of [
		"https://evil.example/",
		`${cloud.url}.evil.example/v2/web/auth-code`,
		"//evil.example",
		"javascript:alert(1)",
	]) {
		const query = new URLSearchParams({
			client_id: peerClientId,
			response_type: "code",
			scope: computeScope,
			redirect_uri: redirect,
			code_challenge: "x".repeat(43),
			code_challenge_method: "S256",
		});
		const reply = await fetch(`${cloud.url}/v2/oauth2/authorize?${query}`, { redirect: "manual" });
		expect(reply.status, redirect).toBe(400);
		expect(reply.headers.get("location"), redirect).toBeNull();
	}
});

test("no address, host or header of a request gets into a page as more than text, or into a link", async () => {
	const bad = '"><script>alert(1)</script>';
	const pages = [
		await fetch(
			`${cloud.url}/v2/web/auth-code?error=${encodeURIComponent(bad)}&error_description=${encodeURIComponent(bad)}`,
		),
		await fetch(`${cloud.url}/device?user_code=${encodeURIComponent(bad)}`),
		await fetch(`${cloud.url}/v2/oauth2/authorize?client_id=${encodeURIComponent(bad)}`),
		await fetch(`${cloud.url}/v2/oauth2/logout?client_id=${encodeURIComponent(bad)}`),
		await fetch(`${cloud.url}/device`, {
			headers: { "x-forwarded-host": "evil.example", forwarded: "host=evil.example" },
		}),
	];
	for (const page of pages) {
		const text = await page.text();
		expect(text, page.url).not.toContain("<script>alert");
		expect(text, page.url).not.toContain("evil.example");
		expect(page.headers.get("content-security-policy"), page.url).toContain("default-src 'none'");
	}
	const discovery = await fetch(`${cloud.url}/.well-known/openid-configuration`, {
		headers: { "x-forwarded-host": "evil.example", "x-forwarded-proto": "https" },
	});
	expect(await discovery.text()).not.toContain("evil.example");
});
