import { build } from "esbuild";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openTestIssuer, type TestIssuer } from "./issuer.test-harness.ts";
import { normalizeCloudUrl } from "./oauth.ts";
import { clientCredentialsTokenSource, staticTokenSource } from "./token-source.ts";

let issuer: TestIssuer;
beforeEach(async () => {
	issuer = await openTestIssuer();
});
afterEach(() => issuer.close());

test("client credentials are asked for once, and again a minute before their token ends or when it is refused", async () => {
	let nowMs = 0;
	const source = clientCredentialsTokenSource({
		cloudUrl: `${issuer.url}/`,
		clientId: "id",
		clientSecret: "a secret+more",
		now: () => nowMs,
	});
	expect(source.cloudUrl).toBe(issuer.url);
	const [first, second] = await Promise.all([source.accessToken(), source.accessToken()]);
	expect(second).toBe(first);
	expect(issuer.requests).toHaveLength(1);
	expect(issuer.requests[0]?.get("basic")).toBe("id:a+secret%2Bmore");
	nowMs = 3_600_000 - 60_001;
	expect(await source.accessToken()).toBe(first);
	nowMs += 1;
	const renewed = await source.accessToken();
	expect(renewed).not.toBe(first);
	expect(await source.accessToken({ forceRefresh: true })).not.toBe(renewed);
	expect(issuer.requests).toHaveLength(3);
});

test("a wrong secret is a fault that names the client, not a retry", async () => {
	const source = clientCredentialsTokenSource({ cloudUrl: issuer.url, clientId: "id", clientSecret: "wrong" });
	await expect(source.accessToken()).rejects.toMatchObject({ code: "USER_UNAUTHENTICATED", args: ["id"] });
});

test("a cloud that does not answer is a fault that says where", async () => {
	const source = clientCredentialsTokenSource({ cloudUrl: issuer.url, clientId: "id", clientSecret: "s" });
	await issuer.close();
	await expect(source.accessToken()).rejects.toMatchObject({
		code: "NOT_READY",
		message: expect.stringContaining(issuer.url),
	});
});

test("a static token is given as it is, and addresses are normalized", async () => {
	expect(await staticTokenSource("http://localhost:5000/", "t").accessToken()).toBe("t");
	expect(normalizeCloudUrl("https://Example.org/errand/")).toBe("https://example.org/errand");
	for (const bad of ["localhost:5000", "ftp://x", ""])
		expect(() => normalizeCloudUrl(bad)).toThrow(/address of a cloud/);
});

test("token sources and the device flow bundle for a browser, without Node", async () => {
	const entryPoints = ["token-source.ts", "device-flow.ts"].map((name) => new URL(name, import.meta.url).pathname);
	const options = { bundle: true, write: false, platform: "browser", format: "esm", logLevel: "silent" } as const;
	const { outputFiles } = await build({ ...options, entryPoints, outdir: "/nowhere" });
	for (const { text } of outputFiles) expect(text).not.toMatch(/["']node:/);
});
