import { fork } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { fileTokenSource, readLogins, updateLogins } from "./credential-store.ts";
import { openTestIssuer, type TestIssuer } from "./issuer.test-harness.ts";
import { staleAfterMs, withLockFile } from "./lock-file.ts";

let issuer: TestIssuer;
let home: string;
let directory: string;
beforeEach(async () => {
	issuer = await openTestIssuer();
	home = await mkdtemp(join(tmpdir(), "errand-credentials-"));
	directory = join(home, "errand");
});
afterEach(async () => {
	await issuer.close();
	await rm(home, { recursive: true, force: true });
});

async function store(expiresAtMs: number, cloudUrl = issuer.url): Promise<void> {
	issuer.live.add("first");
	const login = {
		client_id: "cli",
		token_endpoint: `${issuer.url}/token`,
		access_token: "old",
		refresh_token: "first",
		expires_at_ms: expiresAtMs,
	};
	await updateLogins(directory, async (logins) => ({
		logins: { ...logins, current: cloudUrl, clouds: { ...logins.clouds, [cloudUrl]: login } },
		value: undefined,
	}));
}

test("credentials are 0600 in a 0700 directory, written whole, and nothing else is left behind", async () => {
	await store(0);
	expect((await stat(directory)).mode & 0o777).toBe(0o700);
	expect((await stat(join(directory, "credentials.json"))).mode & 0o777).toBe(0o600);
	expect(await readdir(directory)).toEqual(["credentials.json"]);
	await chmod(join(directory, "credentials.json"), 0o644);
	await store(1);
	expect((await stat(join(directory, "credentials.json"))).mode & 0o777).toBe(0o600);
});

test("several clouds are kept apart, and the last login is the current one", async () => {
	await store(Date.now() + 3_600_000, "http://a.example");
	await store(Date.now() + 3_600_000, "http://b.example");
	expect(fileTokenSource({ directory })?.cloudUrl).toBe("http://b.example");
	expect(fileTokenSource({ directory, cloudUrl: "http://a.example/" })?.cloudUrl).toBe("http://a.example");
	expect(fileTokenSource({ directory, cloudUrl: "http://c.example" })).toBeUndefined();
});

test("a token is renewed a minute before it ends, once however many ask", async () => {
	let nowMs = 0;
	await store(3_600_000);
	const source = fileTokenSource({ directory, now: () => nowMs });
	expect(await source?.accessToken()).toBe("old");
	nowMs = 3_540_000;
	const tokens = await Promise.all([1, 2, 3].map(() => source?.accessToken()));
	expect(new Set(tokens).size).toBe(1);
	expect(tokens[0]).not.toBe("old");
	expect(issuer.requests).toHaveLength(1);
	expect(readLogins(directory).clouds[issuer.url]).toMatchObject({
		access_token: tokens[0],
		expires_at_ms: 3_540_000 + 3_600_000,
	});
});

test("a refused token is renewed at once; what another process has stored meanwhile is taken instead", async () => {
	await store(Date.now() + 3_600_000);
	const mine = fileTokenSource({ directory });
	const theirs = fileTokenSource({ directory });
	const renewed = await theirs?.accessToken({ forceRefresh: true });
	expect(await mine?.accessToken({ forceRefresh: true })).toBe(renewed);
	expect(issuer.requests).toHaveLength(1);
});

test("a login that the cloud has ended says what to type", async () => {
	await store(0);
	issuer.live.clear();
	await expect(fileTokenSource({ directory })?.accessToken()).rejects.toMatchObject({
		code: "USER_UNAUTHENTICATED",
		message: expect.stringContaining(`errand login --cloud ${issuer.url}`),
	});
});

test("GC-3: a cloud that asks to wait does not end the login", async () => {
	await store(0);
	const source = fileTokenSource({ directory });
	issuer.refusals.push([429, {}]);
	await expect(source?.accessToken()).rejects.toMatchObject({ code: "TOO_MANY_REQUESTS", retryAfterS: 3 });
	expect(await source?.accessToken()).toBe(readLogins(directory).clouds[issuer.url]?.access_token);
});

test("a damaged credentials file is said, not overwritten", async () => {
	await store(0);
	await writeFile(join(directory, "credentials.json"), "{");
	expect(() => readLogins(directory)).toThrow(/damaged/);
	await expect(store(1)).rejects.toThrow(/damaged/);
	expect(await readFile(join(directory, "credentials.json"), "utf8")).toBe("{");
});

test("four processes renew at once: one asks the cloud, all get its token", async () => {
	await store(0);
	const program = join(home, "ask.mjs");
	const module = new URL("credential-store.ts", import.meta.url).href;
	await writeFile(
		program,
		`import { fileTokenSource } from ${JSON.stringify(module)};
		 process.once("message", async () => {
			const token = await fileTokenSource({ directory: ${JSON.stringify(directory)} }).accessToken();
			process.send(token, () => process.disconnect());
		 });
		 process.send("ready");`,
	);
	const children = [1, 2, 3, 4].map(() => fork(program));
	await Promise.all(children.map((child) => once(child, "message")));
	const answers = children.map((child) => once(child, "message"));
	const exits = children.map((child) => once(child, "exit"));
	for (const child of children) child.send("go");
	const tokens = (await Promise.all(answers)).map(([token]) => token as string);
	await Promise.all(exits);
	expect(new Set(tokens).size).toBe(1);
	expect(issuer.requests).toHaveLength(1);
	expect(issuer.live.size).toBe(1);
});

test("a lock whose holder died is broken: by its process id on this host, by its age from another", async () => {
	await mkdir(directory);
	const path = join(directory, "lock");
	const child = fork(join(home, "nothing.mjs"), { silent: true });
	await once(child, "exit");
	await writeFile(path, JSON.stringify({ id: "dead", host: hostname(), pid: child.pid }));
	expect(await withLockFile(path, async () => "mine")).toBe("mine");
	await writeFile(path, JSON.stringify({ id: "old", host: "elsewhere", pid: 1 }));
	const longAgo = new Date(Date.now() - staleAfterMs - 1_000);
	await utimes(path, longAgo, longAgo);
	expect(await withLockFile(path, async () => "mine")).toBe("mine");
	expect(await readdir(directory)).toEqual([]);
});

test("holders of a lock follow one another, also when one of them throws", async () => {
	await mkdir(directory);
	const path = join(directory, "lock");
	let inside = 0;
	const visits = Array.from({ length: 8 }, (_, index) =>
		withLockFile(path, async () => {
			expect(++inside).toBe(1);
			await readdir(directory);
			inside--;
			if (index % 3 === 0) throw new Error("thrown inside");
		}).catch((error: Error) => expect(error.message).toBe("thrown inside")),
	);
	await Promise.all(visits);
	expect(await readdir(directory)).toEqual([]);
});
