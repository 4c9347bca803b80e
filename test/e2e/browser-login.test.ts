/** Logging in as a person does: Errand's device login and the public interface's native login, in a real browser. */
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { peerClientId } from "@errand/proto/rest";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import {
	openTestCloud,
	openTestPostgres,
	type TestCloud,
	type TestPostgres,
} from "../../cloud/src/identity/identity.test-harness.ts";
import { fileTokenSource } from "../../sdk/src/auth/credential-store.ts";
import { deviceLogin, logout } from "../../sdk/src/auth/device-login.ts";

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const password = "correct horse battery";
/** Where to leave pictures of the pages, for people; none are taken otherwise. */
const pictures = process.env.PICTURES;

let postgres: TestPostgres;
let cloud: TestCloud;
let browser: Browser;
let directory: string;
const pages: Page[] = [];

beforeAll(async () => {
	if (!existsSync(executablePath)) throw new Error(`no Chromium at ${executablePath}: install it, or set CHROMIUM`);
	postgres = await openTestPostgres();
	cloud = await openTestCloud(postgres);
	await cloud.identity.accounts.createAccount({ username: "ada", password, admin: true, name: "Ada Lovelace" });
	directory = await mkdtemp(join(tmpdir(), "errand-browser-"));
	browser = await chromium.launch({
		executablePath,
		args: [
			"--no-sandbox",
			"--disable-gpu",
			"--disable-quic",
			"--no-first-run",
			"--disable-background-networking",
			"--disable-component-update",
			"--disable-sync",
		],
	});
});
afterEach(async () => {
	for (const page of pages.splice(0)) await page.context().close();
});
afterAll(async () => {
	await browser?.close();
	await cloud?.close();
	await postgres?.close();
	if (directory !== undefined) await rm(directory, { recursive: true, force: true });
});

/** A person with a fresh browser, on a phone or a desk; anything that the page policy blocks is a failure. */
async function openPage(
	options: { phone?: boolean; dark?: boolean } = {},
): Promise<{ page: Page; complaints: string[] }> {
	const context = await browser.newContext({
		viewport: options.phone === true ? { width: 390, height: 844 } : { width: 1100, height: 800 },
		colorScheme: options.dark === true ? "dark" : "light",
	});
	const page = await context.newPage();
	pages.push(page);
	const complaints: string[] = [];
	page.on("console", (message) => {
		if (message.type() === "error" && !message.text().includes("401")) complaints.push(message.text());
	});
	return { page, complaints };
}

async function picture(page: Page, name: string): Promise<void> {
	if (pictures !== undefined) await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
}

test("NEW-23: errand login: the code in the terminal, yes in the browser, and the token is kept in a 0600 file", async () => {
	const { page, complaints } = await openPage({ phone: true, dark: true });
	await deviceLogin({
		cloudUrl: cloud.url,
		directory,
		async onPrompt({ userCode, verificationUrl, verificationUrlComplete }) {
			await page.goto(verificationUrl);
			await picture(page, "device-code-dark-phone");
			await page.getByLabel("Code").fill("bcdf-ghjk");
			await page.getByRole("button", { name: "Continue" }).click();
			await expect.poll(() => page.getByRole("alert").textContent()).toContain("No login waits");
			await picture(page, "device-code-wrong-dark-phone");
			await page.goto(verificationUrlComplete);
			await page.getByRole("heading", { name: "Is this you?" }).waitFor();
			expect(await page.textContent("main")).toContain(userCode);
			await picture(page, "device-confirm-dark-phone");
			await page.getByRole("button", { name: "Yes, continue" }).click();
			await page.getByLabel("Username").fill("ada");
			await page.getByLabel("Password").fill("wrong");
			await page.getByRole("button", { name: "Log in" }).click();
			await expect.poll(() => page.getByRole("alert").textContent()).toContain("wrong");
			await picture(page, "login-wrong-dark-phone");
			await page.getByLabel("Password").fill(password);
			await page.getByRole("button", { name: "Log in" }).click();
			await page.getByRole("heading", { name: "You are logged in" }).waitFor();
			await picture(page, "device-done-dark-phone");
		},
	});
	expect((await stat(join(directory, "credentials.json"))).mode & 0o777).toBe(0o600);
	const source = fileTokenSource({ directory });
	const first = (await source?.accessToken()) as string;
	expect(await cloud.identity.verifier.verify(first)).toMatchObject({ username: "ada", kind: "account" });
	const second = (await source?.accessToken({ forceRefresh: true })) as string;
	expect(second).not.toBe(first);
	expect(await cloud.identity.verifier.verify(second)).toMatchObject({ username: "ada" });
	expect(await logout({ directory })).toBe(cloud.url);
	const { rows } = await cloud.db.query("select from oauth_records where kind in ('AccessToken', 'RefreshToken')");
	expect(rows).toHaveLength(0);
	expect(await readdir(directory)).toEqual(["credentials.json"]);
	expect(complaints).toEqual([]);
});

test("the public interface's native login ends on a page with the code to paste", async () => {
	const { page, complaints } = await openPage();
	const url = new URL(`${cloud.url}/v2/oauth2/authorize`);
	url.search = new URLSearchParams({
		client_id: peerClientId,
		redirect_uri: `${cloud.url}/v2/web/auth-code`,
		scope: "openid https://auth.globus.org/scopes/facd7ccc-c5f4-42aa-916b-a0e270e2c2a9/all",
		response_type: "code",
		code_challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
		code_challenge_method: "S256",
		access_type: "offline",
	}).toString();
	await page.goto(url.href);
	await picture(page, "login-light");
	await page.getByLabel("Username").fill("ada");
	await page.getByLabel("Password").fill(password);
	await page.keyboard.press("Enter");
	await page.getByRole("heading", { name: "Allow access?" }).waitFor();
	await picture(page, "consent-light");
	await page.getByRole("button", { name: "Allow" }).click();
	await page.getByRole("heading", { name: "Your code" }).waitFor();
	await picture(page, "auth-code-light");
	expect(await page.getByLabel("Authorization code").inputValue()).toMatch(/^[\w-]{40,}$/);

	await page.goto(`${cloud.url}/v2/oauth2/logout`);
	await picture(page, "log-out-light");
	await page.getByRole("button", { name: "Log out" }).click();
	await page.getByRole("heading", { name: "You are logged out" }).waitFor();
	await picture(page, "logged-out-light");
	await page.goto(url.href);
	await page.getByRole("button", { name: "Cancel" }).click();
	await page.getByRole("heading", { name: "This did not work" }).waitFor();
	await picture(page, "denied-light");
	expect(complaints.filter((text) => !text.includes("400"))).toEqual([]);
});
