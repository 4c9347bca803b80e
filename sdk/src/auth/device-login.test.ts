import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { fileTokenSource, readLogins } from "./credential-store.ts";
import { type DevicePrompt, deviceLogin, logout } from "./device-login.ts";
import { openTestIssuer, type TestIssuer } from "./issuer.test-harness.ts";

let issuer: TestIssuer;
let directory: string;
beforeEach(async () => {
	issuer = await openTestIssuer();
	directory = await mkdtemp(join(tmpdir(), "errand-login-"));
});
afterEach(async () => {
	await issuer.close();
	await rm(directory, { recursive: true, force: true });
});

function login(options: { onPrompt?: (prompt: DevicePrompt) => void; sleeps?: number[]; signal?: AbortSignal } = {}) {
	return deviceLogin({
		cloudUrl: issuer.url,
		directory,
		onPrompt: options.onPrompt ?? (() => undefined),
		sleep: async (ms) => {
			options.sleeps?.push(ms);
		},
		...(options.signal === undefined ? {} : { signal: options.signal }),
	});
}

test("the code is shown, the cloud is asked at its pace and slower when it says so, and the login is stored", async () => {
	const pending = [400, { error: "authorization_pending" }] satisfies [number, object];
	issuer.devicePolls.push(pending as never, [400, { error: "slow_down" }], pending as never, [500, {}]);
	const sleeps: number[] = [];
	let prompt: DevicePrompt | undefined;
	await login({
		sleeps,
		onPrompt: (shown) => {
			prompt = shown;
			expect(issuer.requests).toHaveLength(0);
		},
	});
	expect(prompt).toMatchObject({ userCode: "ABCD-EFGH", verificationUrl: `${issuer.url}/enter`, expiresInS: 900 });
	expect(sleeps).toEqual([2_000, 7_000, 7_000, 7_000]);
	expect(await fileTokenSource({ directory })?.accessToken()).toBe(
		readLogins(directory).clouds[issuer.url]?.access_token,
	);
});

test("a login goes on when the cloud hangs up for a moment or asks to wait", async () => {
	const sleeps: number[] = [];
	issuer.devicePolls.push("hang up", [429, {}]);
	await login({ sleeps });
	expect(sleeps[0]).toBe(2_000);
	expect(sleeps[1]).toBeGreaterThanOrEqual(3_000);
	expect(readLogins(directory).current).toBe(issuer.url);
});

test("a denied login is an error with words, and stores nothing", async () => {
	issuer.devicePolls.push([400, { error: "access_denied" }]);
	await expect(login()).rejects.toMatchObject({
		code: "USER_UNAUTHENTICATED",
		message: expect.stringMatching(/denied/),
	});
	expect(readLogins(directory).current).toBeUndefined();
});

test("a login that is called off stops", async () => {
	const controller = new AbortController();
	const reason = new Error("called off");
	const attempt = login({ signal: controller.signal, onPrompt: () => controller.abort(reason) });
	await expect(attempt).rejects.toBe(reason);
});

test("logging in again ends the older login, and logging out ends it at the cloud and here", async () => {
	await login();
	const [older] = issuer.live;
	await login();
	expect(issuer.live.has(older as string)).toBe(false);
	expect(issuer.live.size).toBe(1);
	expect(await logout({ directory })).toBe(issuer.url);
	expect(issuer.live.size).toBe(0);
	expect(fileTokenSource({ directory })).toBeUndefined();
	expect(await logout({ directory })).toBeUndefined();
	expect(await readFile(join(directory, "credentials.json"), "utf8")).not.toContain("token");
});

test("logging out works when the cloud is gone", async () => {
	await login();
	await issuer.close();
	expect(await logout({ directory })).toBe(issuer.url);
	expect(readLogins(directory).clouds).toEqual({});
});
