/** The SDK in a real browser, in a page of another origin than the cloud's. */
import { existsSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { errandClientId } from "@errand/proto/rest";
import type * as sdk from "@errand/sdk";
import { build } from "esbuild";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TestCloud } from "../harness/cloud.ts";
import { TestEndpoint } from "../harness/endpoint.ts";

declare global {
	/** What the page makes of the bundle. */
	var errand: typeof sdk;
	var executor: sdk.Executor;
}

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const quietly = [
	...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
	...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
];

let site: Server;
let siteUrl: string;
let cloud: TestCloud;
let endpoint: TestEndpoint;
let browser: Browser;
let page: Page;
let token: string;
const complaints: string[] = [];
const sockets: string[] = [];

beforeAll(async () => {
	if (!existsSync(executablePath)) throw new Error(`no Chromium at ${executablePath}: install it, or set CHROMIUM`);
	const bundle = await build({
		entryPoints: [fileURLToPath(new URL("../../sdk/src/index.ts", import.meta.url))],
		bundle: true,
		write: false,
		platform: "browser",
		format: "esm",
		target: "es2022",
		logLevel: "silent",
	});
	const script = bundle.outputFiles[0]?.text ?? "";
	const html = `<!doctype html><title>A page</title><script type="module">globalThis.errand = await import("/sdk.js"); document.title = "ready";</script>`;
	site = createServer((request, reply) => {
		const [type, body] = request.url === "/sdk.js" ? ["text/javascript", script] : ["text/html", html];
		reply.writeHead(200, { "content-type": type }).end(body);
	});
	await new Promise<void>((resolve) => site.listen(0, "127.0.0.1", resolve));
	siteUrl = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
	cloud = await TestCloud.start({ ERRAND_CLOUD_CORS_ORIGINS: siteUrl });
	const login = await cloud.login("ada");
	token = login.token;
	endpoint = await TestEndpoint.start(cloud, login.client);
	browser = await chromium.launch({ executablePath, args: quietly });
	page = await openPage(siteUrl);
	await page.evaluate(
		([cloudUrl, accessToken]) => {
			globalThis.executor = new errand.Executor({ cloudUrl, token: accessToken, endpoint: "local" });
		},
		[cloud.url, token] as const,
	);
});
afterAll(async () => {
	await page?.evaluate(() => executor.close()).catch(() => undefined);
	await browser?.close();
	await endpoint?.stop();
	await cloud?.stop();
	site?.closeAllConnections();
	await new Promise((resolve) => site?.close(resolve));
});

async function openPage(url: string): Promise<Page> {
	const opened = await browser.newPage();
	opened.on("console", (message) => {
		// A browser reports every 4xx: that a value is not stored yet, that a code is not confirmed yet.
		const expected = /\/v1\/blobs\/|\/v2\/oauth2\/token$/.test(message.location().url);
		if (message.type() === "error" && !expected) complaints.push(`${message.text()} ${message.location().url}`);
	});
	opened.on("pageerror", (error) => complaints.push(String(error)));
	opened.on("websocket", (socket) => sockets.push(socket.url()));
	await opened.goto(url);
	await opened.waitForFunction(() => document.title === "ready");
	return opened;
}

test("NEW-12: a page submits a function and awaits its result, which is pushed over a WebSocket", async () => {
	const result = await page.evaluate(async () => {
		const sum = executor.submit((a: number, b: number) => a + b, 2, 3);
		return { value: await sum, status: await sum.status(), taskId: sum.taskId };
	});
	expect(result).toMatchObject({ value: 5, status: "success", taskId: expect.stringMatching(/^[0-9a-f-]{36}$/) });
	expect(sockets.filter((url) => url.startsWith(cloud.url.replace("http", "ws")))).toHaveLength(1);
	expect(sockets.join()).not.toContain(token);
});

test("values keep what structured clone keeps", async () => {
	const kept = await page.evaluate(async () => {
		const value = { date: new Date(5), map: new Map([["a", new Set([1n])]]), bytes: new Uint8Array([1, 2, 3]) };
		const back = await executor.submit((v: typeof value) => v, value);
		return [back.date.getTime(), back.map.get("a")?.has(1n), back.bytes instanceof Uint8Array, [...back.bytes]];
	});
	expect(kept).toEqual([5, true, true, [1, 2, 3]]);
});

test("lines of output arrive while the function runs", async () => {
	const lines = await page.evaluate(async () => {
		const seen: string[] = [];
		const future = executor.submit(() => {
			console.log("one");
			console.log("two");
			return "ended";
		});
		for await (const line of future.stdout()) seen.push(line);
		return [...seen, await future];
	});
	expect(lines).toEqual(["one", "two", "ended"]);
});

test("a map of 500 keeps its order", async () => {
	const squares = await page.evaluate(async () => {
		const all: number[] = [];
		for await (const y of executor.map(
			(x: number) => x * x,
			Array.from({ length: 500 }, (_, i) => i),
		))
			all.push(y);
		return all;
	});
	expect(squares).toEqual(Array.from({ length: 500 }, (_, i) => i * i));
});

test("Python from its source and a command run from a page", async () => {
	const both = await page.evaluate(async () => {
		const mean = errand.python({ source: "def mean(xs):\n    return sum(xs) / len(xs)\n", name: "mean" });
		const { returncode, stdout } = await executor.submit(errand.shell("echo {text}; exit 3"), { text: "hi" });
		return [await executor.submit(mean, [1, 2, 3]), returncode, stdout];
	});
	expect(both).toEqual([2, 3, "hi\n"]);
});

test("values above the inline limit travel by reference, both ways", async () => {
	const length = await page.evaluate(async () => {
		const back = await executor.submit((text: string) => `${text}!`, "x".repeat(1_500_000));
		return back.length;
	});
	expect(length).toBe(1_500_001);
});

test("a running task is cancelled from a page", async () => {
	const outcome = await page.evaluate(async () => {
		const future = executor.submit(errand.shell("echo started; sleep 600"));
		for await (const _ of future.stdout()) void future.cancel();
		return await future.then(
			() => "finished",
			(error: unknown) => error instanceof errand.CancelledError,
		);
	});
	expect(outcome).toBe(true);
});

test("a function's error has its name, message and remote stack; what a page cannot do is said", async () => {
	const { error, noFile } = await page.evaluate(async () => {
		function outer(): never {
			throw new RangeError("too far");
		}
		const failed = await executor.submit(outer).catch((e: unknown) => e as sdk.RemoteError);
		const file = await executor
			.submit(errand.python({ file: "a.py", name: "f" }))
			.catch((e: unknown) => (e as Error).message);
		return {
			error: { kind: failed instanceof errand.RemoteError, name: failed.remoteName, stack: failed.remoteStack },
			noFile: String(file),
		};
	});
	expect(error).toMatchObject({ kind: true, name: "RangeError", stack: expect.stringContaining("outer") });
	expect(noFile).toMatch(/file system/);
	expect(complaints).toEqual([]);
});

test("NEW-12: a page logs a person in with a device code that the cloud's own page confirms", async () => {
	await cloud.createAccount("grace");
	const visitor = await openPage(siteUrl);
	await visitor.evaluate((cloudUrl) => {
		const login = errand.requestDeviceLogin({
			cloudUrl,
			onPrompt: (prompt) => {
				document.body.dataset.url = prompt.verificationUrlComplete;
				document.body.dataset.code = prompt.userCode;
			},
		});
		login.then(
			(tokens) => Object.assign(document.body.dataset, { token: tokens.accessToken }),
			(error: Error) => Object.assign(document.body.dataset, { error: error.message }),
		);
	}, cloud.url);
	await visitor.waitForFunction(() => document.body.dataset.url ?? document.body.dataset.error);
	const { url, code, error } = await visitor.evaluate(() => ({ ...document.body.dataset }));
	expect(error).toBeUndefined();
	const confirmation = await (await browser.newContext()).newPage();
	await confirmation.goto(url ?? "");
	await confirmation.getByRole("heading", { name: "Is this you?" }).waitFor();
	expect(await confirmation.textContent("main")).toContain(code);
	await confirmation.getByRole("button", { name: "Yes, continue" }).click();
	await confirmation.getByLabel("Username").fill("grace");
	await confirmation.getByLabel("Password").fill("grace-password");
	await confirmation.getByRole("button", { name: "Log in" }).click();
	await confirmation.getByRole("heading", { name: "You are logged in" }).waitFor();
	await visitor.waitForFunction(() => document.body.dataset.token ?? document.body.dataset.error);
	const username = await visitor.evaluate(async (cloudUrl) => {
		const client = new errand.Client({ cloudUrl, token: document.body.dataset.token ?? "" });
		return (await client.whoami()).username;
	}, cloud.url);
	expect(username).toBe("grace");
	expect(complaints).toEqual([]);
});

test("a page of an origin that nobody allowed gets nothing, whatever token it has", async () => {
	const other = createServer((_request, reply) => reply.writeHead(200, { "content-type": "text/html" }).end("hi"));
	await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
	try {
		const stranger = await browser.newPage();
		await stranger.goto(`http://127.0.0.1:${(other.address() as AddressInfo).port}`);
		const tried = await stranger.evaluate(
			async ([cloudUrl, accessToken, clientId]) => {
				const rest = await fetch(`${cloudUrl}/v1/whoami`, { headers: { authorization: `Bearer ${accessToken}` } }).then(
					() => "answered",
					() => "refused",
				);
				const device = await fetch(`${cloudUrl}/v2/oauth2/device`, {
					method: "POST",
					body: new URLSearchParams({ client_id: clientId }),
				}).then(
					() => "answered",
					() => "refused",
				);
				return [rest, device];
			},
			[cloud.url, token, errandClientId] as const,
		);
		expect(tried).toEqual(["refused", "refused"]);
	} finally {
		other.closeAllConnections();
		await new Promise((resolve) => other.close(resolve));
	}
});
