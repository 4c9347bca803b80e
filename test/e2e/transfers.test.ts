/** Files between collections of two real daemons, with the real cloud between them. */
import { createHash, randomBytes } from "node:crypto";
import {
	chmodSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	symlinkSync,
	truncateSync,
	utimesSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { syncLevels } from "@errand/proto";
import type { TransferDocument, TransferItem } from "@errand/proto/rest";
import { type Client, Executor, type TransferOptions } from "@errand/sdk";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { TestCloud } from "../harness/cloud.ts";
import { CommandLine } from "../harness/command-line.ts";
import { TestEndpoint } from "../harness/endpoint.ts";

const patient = { timeout: 30_000, interval: 20 };
const listens = "transfer_port: 0\ntransfer_host: 127.0.0.1\ntransfer_addresses: [127.0.0.1]\n";

let cloud: TestCloud;
let client: Client;
const ends = new Map<string, { endpoint: TestEndpoint; root: string }>();

async function openEnd(name: string, settings: string): Promise<void> {
	const root = join(cloud.home, `root-${name}`);
	mkdirSync(root);
	const config = `init_blocks: 0\ncollections:\n  data: ${root}\n  kept: { path: ${root}, read_only: true, guests: read }\n${settings}`;
	const endpoint = await TestEndpoint.start(cloud, client, { name, config });
	await endpoint.process.line("transfer: the agent is running");
	ends.set(name, { endpoint, root });
}

beforeAll(async () => {
	cloud = await TestCloud.start();
	({ client } = await cloud.login("ada"));
	await openEnd("here", listens);
	await openEnd("there", "");
});
afterAll(async () => {
	for (const { endpoint } of ends.values()) await endpoint.stop();
	await cloud?.stop();
});

const endOf = (name: string) => ends.get(name) as { endpoint: TestEndpoint; root: string };
/** A fresh folder in an end's collection: its path, and its name in transfers. */
function folder(end: string, name: string): { path: string; in: string } {
	const path = join(endOf(end).root, name);
	mkdirSync(path, { recursive: true });
	return { path, in: `/data/${name}` };
}

type Item = Pick<TransferItem, "source_path" | "destination_path"> & { recursive?: boolean };
const submit = (from: string, to: string, item: Item, options: Partial<TransferOptions> = {}) =>
	client.transfers.submit({ source_endpoint: from, destination_endpoint: to, items: [item], ...options });

async function move(from: string, to: string, item: Item, options: Partial<TransferOptions> = {}) {
	const { id } = await submit(from, to, item, options);
	return await client.transfers.wait(id, { timeoutMs: 25_000 });
}

const codesOf = async (id: string): Promise<string[]> =>
	(await client.transfers.events(id, { limit: 1000 })).items.map((event) => event.code);

function expectSucceeded(done: TransferDocument): void {
	expect(done.fatal_error).toBeNull();
	expect(done.status).toBe("SUCCEEDED");
}

/** Relative path → content, of every file below. */
function contents(root: string): Map<string, Buffer> {
	const names = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
	return new Map(
		names
			.map((entry) => join(entry.parentPath, entry.name))
			.sort()
			.map((path) => [path.slice(root.length + 1), readFileSync(path)] as const),
	);
}

function growTree(root: string, files: number): void {
	for (let n = 0; n < files; n++) {
		const inner = join(root, `d${n % 7}`, n % 3 === 0 ? "deeper" : "");
		mkdirSync(inner, { recursive: true });
		writeFileSync(join(inner, `f${n}`), randomBytes((n * 37) % 5000));
	}
}

test("a file goes directly, and is there under its name with its content and its permissions", async () => {
	const from = folder("here", "direct");
	const bytes = randomBytes(20 * 1024 * 1024 + 17);
	writeFileSync(join(from.path, "large.bin"), bytes);
	chmodSync(join(from.path, "large.bin"), 0o640);
	utimesSync(join(from.path, "large.bin"), 1_000_000, 1_000_000);
	const done = await move(
		"here",
		"there",
		{ source_path: `${from.in}/large.bin`, destination_path: "/data/new/folder/copy.bin" },
		{ verify: "disk", preserve_timestamp: true },
	);
	expectSucceeded(done);
	expect(done.used_route).toBe("direct");
	expect(done.counters).toMatchObject({
		files: 1,
		files_transferred: 1,
		bytes: bytes.length,
		bytes_transferred: bytes.length,
	});
	expect(done.counters.bytes_checksummed).toBe(bytes.length);
	const copy = join(endOf("there").root, "new/folder/copy.bin");
	expect(readFileSync(copy).equals(bytes)).toBe(true);
	expect(statSync(copy).mode & 0o777).toBe(0o640);
	expect(statSync(copy).mtimeMs).toBe(1_000_000_000);
	expect(await codesOf(done.id)).toEqual(expect.arrayContaining(["ROUTE_SELECTED", "STARTED", "SUCCEEDED"]));
});

test("a tree goes by the relay where the source takes no connections, and every file's digest is told", async () => {
	const from = folder("there", "tree");
	growTree(from.path, 700);
	mkdirSync(join(from.path, "empty"));
	writeFileSync(join(from.path, "a file with spaces, ünd so"), "text");
	truncateSync(join(from.path, "d0", "deeper", "f0"), 3 * 1024 * 1024);
	const to = folder("here", "tree-copy");
	const done = await move("there", "here", { source_path: from.in, destination_path: to.in, recursive: true });
	expectSucceeded(done);
	expect(done.used_route).toBe("relay");
	const [sent, came] = [contents(from.path), contents(to.path)];
	expect([...came.keys()]).toEqual([...sent.keys()]);
	for (const [path, bytes] of sent) expect(came.get(path)?.equals(bytes), path).toBe(true);
	expect(statSync(join(to.path, "empty")).isDirectory()).toBe(true);
	const told: [string, string | null][] = [];
	let cursor: string | null = "";
	while (cursor !== null) {
		const page = await client.transfers.files(done.id, { limit: 200, ...(cursor !== "" && { cursor }) });
		for (const file of page.items) told.push([file.path.slice(to.in.length + 1), file.digest]);
		cursor = page.next_cursor;
	}
	const digests = [...sent].map(([path, bytes]) => [
		path,
		`sha256:${createHash("sha256").update(bytes).digest("hex")}`,
	]);
	expect(new Map(told)).toEqual(new Map(digests as [string, string][]));
});

test("between collections of one endpoint nothing goes over a network", async () => {
	const from = folder("here", "local");
	growTree(from.path, 20);
	const to = folder("here", "local-copy");
	const done = await move("here", "here", { source_path: from.in, destination_path: to.in, recursive: true });
	expectSucceeded(done);
	expect(done.used_route).toBe("local");
	expect(contents(to.path)).toEqual(contents(from.path));
	await expect(
		submit("here", "here", { source_path: from.in, destination_path: `${from.in}/inner`, recursive: true }),
	).rejects.toMatchObject({ code: "SEMANTICALLY_INVALID" });
});

describe("a second time", () => {
	const item = { source_path: "/data/again", destination_path: "/data/again-copy", recursive: true };
	beforeAll(async () => {
		growTree(folder("here", "again").path, 30);
		folder("there", "again-copy");
		expectSucceeded(await move("here", "there", item, { preserve_timestamp: true }));
	});

	test.each([...syncLevels.entries()])("sync level %i (%s) sends nothing that is there", async (sync_level) => {
		const done = await move("here", "there", item, { sync_level });
		expectSucceeded(done);
		expect(done.counters).toMatchObject({ files: 30, files_skipped: 30, files_transferred: 0 });
	});

	test("only the checksum sees a change that keeps size and time", async () => {
		const victim = join(endOf("there").root, "again-copy/d1/f1");
		const { mtimeMs, size } = statSync(victim);
		writeFileSync(victim, randomBytes(size));
		utimesSync(victim, mtimeMs / 1000, mtimeMs / 1000);
		expect((await move("here", "there", item, { sync_level: 2 })).counters.files_transferred).toBe(0);
		expect((await move("here", "there", item, { sync_level: 3 })).counters.files_transferred).toBe(1);
		expect(contents(join(endOf("there").root, "again-copy"))).toEqual(contents(join(endOf("here").root, "again")));
	});

	test("what the source does not have is deleted when that is asked for, except what the rules leave out", async () => {
		const to = join(endOf("there").root, "again-copy");
		mkdirSync(join(to, "extra/inner"), { recursive: true });
		for (const name of ["extra/inner/x", "d1/y", "keep.log"]) writeFileSync(join(to, name), "extra");
		const filter_rules = [{ method: "exclude" as const, name: "*.log" }];
		const done = await move("here", "there", item, { sync_level: 1, delete_destination_extra: true, filter_rules });
		expectSucceeded(done);
		expect(existsSync(join(to, "extra"))).toBe(false);
		expect(existsSync(join(to, "d1/y"))).toBe(false);
		expect(existsSync(join(to, "keep.log"))).toBe(true);
		const { items } = await client.transfers.files(done.id, { outcome: "deleted" });
		expect(items.map((file) => file.path).sort()).toEqual(
			["", "/inner", "/inner/x"]
				.map((path) => `/data/again-copy/extra${path}`)
				.concat("/data/again-copy/d1/y")
				.sort(),
		);
	});

	test("rules leave out files and whole directories", async () => {
		const to = folder("there", "again-filtered");
		const filter_rules = [
			{ method: "exclude" as const, type: "dir" as const, name: "d[12]" },
			{ method: "include" as const, type: "file" as const, name: "f3" },
			{ method: "exclude" as const, type: "file" as const, name: "f?" },
		];
		expectSucceeded(await move("here", "there", { ...item, destination_path: to.in }, { filter_rules }));
		const names = [...contents(to.path).keys()];
		expect(names.some((name) => name.startsWith("d1") || name.startsWith("d2"))).toBe(false);
		expect(names.some((name) => name.endsWith("/f3"))).toBe(true);
		expect(names.filter((name) => /\/f\d$/.test(name))).toEqual(["d3/deeper/f3"]);
	});
});

describe("what is not in a collection", () => {
	test("cannot be named", async () => {
		for (const source_path of ["/data/../../etc/passwd", "/etc/passwd", "/data", "relative"]) {
			const asked = submit("here", "there", { source_path, destination_path: "/data/stolen" });
			await expect(asked, source_path).rejects.toMatchObject({
				httpStatus: expect.toSatisfy((status) => status < 500),
			});
		}
	});

	test("is not reached by a link, at either end, and a link in a tree is left out", async () => {
		const secrets = mkdtempSync(join(tmpdir(), "errand-secret-"));
		writeFileSync(join(secrets, "secret"), "mine");
		const from = folder("here", "links");
		symlinkSync(secrets, join(from.path, "out"));
		symlinkSync(join(secrets, "secret"), join(from.path, "file"));
		writeFileSync(join(from.path, "good"), "good");
		const to = folder("there", "links-copy");
		symlinkSync(secrets, join(to.path, "away"));
		const read = await move("here", "there", {
			source_path: `${from.in}/out/secret`,
			destination_path: `${to.in}/stolen`,
		});
		expect(read).toMatchObject({ status: "FAILED", fatal_error: { code: "PATH_OUTSIDE_COLLECTION" } });
		const written = await move("here", "there", {
			source_path: `${from.in}/good`,
			destination_path: `${to.in}/away/planted`,
		});
		expect(written).toMatchObject({ status: "FAILED", fatal_error: { code: "PATH_OUTSIDE_COLLECTION" } });
		const item = { source_path: from.in, destination_path: `${to.in}/tree`, recursive: true };
		const tree = await move("here", "there", item, { recursive_symlinks: "copy" });
		expectSucceeded(tree);
		expect(tree.counters.symlinks).toBe(2);
		expect([...contents(join(to.path, "tree")).keys()]).toEqual(["good"]);
		expect(readdirSync(secrets)).toEqual(["secret"]);
		rmSync(secrets, { recursive: true });
	});
});

test("BAL-7: a missing file fails its transfer within seconds, with the reason, or is left out and listed", async () => {
	const item = { source_path: "/data/nowhere.bin", destination_path: "/data/nowhere.bin" };
	const done = await move("here", "there", item);
	expect(done).toMatchObject({ status: "FAILED", fatal_error: { code: "FILE_NOT_FOUND" } });
	expect(done.fatal_error?.description).toContain("is not there");
	const skipped = await move("here", "there", item, { skip_source_errors: true });
	expectSucceeded(skipped);
	const { items } = await client.transfers.files(skipped.id, { outcome: "failed" });
	expect(items).toMatchObject([{ path: "/data/nowhere.bin", reason: expect.stringContaining("is not there") }]);
});

describe("who may", () => {
	const item = { source_path: "/data/mine", destination_path: "/data/copy" };
	const asBob = (bob: Client, wanted: Item) =>
		bob.transfers.submit({
			source_endpoint: endOf("here").endpoint.id,
			destination_endpoint: endOf("here").endpoint.id,
			items: [wanted],
		});

	test("nobody else, a guest only where the collection says so, and nobody writes to what is read-only", async () => {
		const { client: bob } = await cloud.login("bob");
		await expect(asBob(bob, item)).rejects.toMatchObject({ code: "ENDPOINT_ACCESS_FORBIDDEN" });
		await client.sharing.shareEndpoint(endOf("here").endpoint.id, { account: "bob", functions: null });
		await expect(asBob(bob, item)).rejects.toMatchObject({ code: "COLLECTION_ACCESS_FORBIDDEN" });
		const toKept = { source_path: "/kept/a", destination_path: "/kept/b" };
		await expect(asBob(bob, toKept)).rejects.toMatchObject({ code: "COLLECTION_ACCESS_FORBIDDEN" });
		await expect(submit("here", "here", toKept)).rejects.toMatchObject({ code: "COLLECTION_ACCESS_FORBIDDEN" });
		await expect(submit("here", "there", { ...item, source_path: "/other/a" })).rejects.toMatchObject({
			code: "COLLECTION_NOT_FOUND",
			detail: expect.stringContaining("it has: data, kept"),
		});
	});

	test("a transfer of another account is not there", async () => {
		const mine = await move("here", "there", item);
		const { client: cyd } = await cloud.login("cyd");
		await expect(cyd.transfers.get(mine.id)).rejects.toMatchObject({ code: "TRANSFER_NOT_FOUND" });
		await expect(cyd.transfers.cancel(mine.id)).rejects.toMatchObject({ code: "TRANSFER_NOT_FOUND" });
		expect((await cyd.transfers.list()).items).toEqual([]);
	});
});

test("a repeat with the same key is the same transfer, and the key is of no use for another", async () => {
	const options = {
		source_endpoint: "here",
		destination_endpoint: "there",
		items: [{ source_path: "/data/k", destination_path: "/data/k" }],
	};
	const key = globalThis.crypto.randomUUID();
	const first = await client.transfers.submit(options, key);
	expect((await client.transfers.submit(options, key)).id).toBe(first.id);
	await expect(client.transfers.submit({ ...options, label: "other" }, key)).rejects.toMatchObject({
		code: "IDEMPOTENCY_KEY_REUSED",
	});
	await client.transfers.wait(first.id, { timeoutMs: 20_000 });
});

/** Zeros: read from nowhere and, mostly, written to nowhere. */
function largeFile(end: string, name: string, megabytes: number): string {
	const path = join(folder(end, "big").path, name);
	writeFileSync(path, "");
	truncateSync(path, megabytes * 1024 * 1024);
	return `/data/big/${name}`;
}

const partsIn = (path: string): string[] => readdirSync(path).filter((name) => name.endsWith(".part"));

async function underWay(id: string): Promise<TransferDocument> {
	return await vi.waitFor(async () => {
		const now = await client.transfers.get(id);
		expect(now.status).toBe("ACTIVE");
		expect(now.counters.bytes_transferred).toBeGreaterThan(0);
		return now;
	}, patient);
}

test("a cancelled transfer leaves nothing half done", async () => {
	const source_path = largeFile("here", "cancelled", 2048);
	const to = folder("there", "cancelled");
	const { id } = await submit("here", "there", { source_path, destination_path: `${to.in}/copy` });
	await underWay(id);
	expect(partsIn(to.path)).toHaveLength(1);
	const cancelled = await client.transfers.cancel(id);
	expect(cancelled).toMatchObject({ status: "FAILED", fatal_error: { code: "CANCELED" } });
	await vi.waitFor(() => expect(readdirSync(to.path)).toEqual([]), patient);
	expect(await codesOf(id)).toContain("CANCELED");
});

test("HEP-1: a collection's path is the same file to a transfer and to a function", async () => {
	const from = folder("there", "unity");
	writeFileSync(join(from.path, "input.txt"), "forty-two");
	expectSucceeded(
		await move("there", "here", { source_path: `${from.in}/input.txt`, destination_path: "/data/unity/input.txt" }),
	);
	await using executor = new Executor({ endpoint: "here", client });
	const text = await executor.submit(() =>
		process.getBuiltinModule("node:fs").readFileSync(`${process.env.ERRAND_COLLECTION_DATA}/unity/input.txt`, "utf8"),
	);
	expect(text).toBe("forty-two");
});

test("a person's own computer sends and fetches with no port open", { timeout: 60_000 }, async () => {
	const commands = await CommandLine.open(cloud, "dan");
	await client.sharing.shareEndpoint(endOf("here").endpoint.id, { account: "dan", functions: null });
	const laptop = mkdtempSync(join(tmpdir(), "errand-laptop-"));
	try {
		await commands.startEndpoint("dans", `\ncollections: { own: ${cloud.home}/dans }\n${listens}`);
		mkdirSync(join(cloud.home, "dans"));
		growTree(join(laptop, "work"), 40);
		const id = (await commands.expect("put", "-q", "-r", join(laptop, "work"), "dans:/own/")).trim();
		expect(contents(join(cloud.home, "dans/work"))).toEqual(contents(join(laptop, "work")));
		const shown = await commands.json<TransferDocument>("transfer", "show", id.slice(0, 8));
		expect(shown).toMatchObject({ status: "SUCCEEDED", used_route: "relay", counters: { files_transferred: 40 } });
		await commands.expect("get", "dans:/own/work/d1/f1", join(laptop, "back"));
		expect(readFileSync(join(laptop, "back")).equals(readFileSync(join(laptop, "work/d1/f1")))).toBe(true);
		const missing = await commands.run("get", "dans:/own/nothing", join(laptop, "nothing"));
		expect(missing.code).toBe(1);
		expect(missing.stdout).toContain("FILE_NOT_FOUND");
		expect(readdirSync(laptop).sort()).toEqual(["back", "work"]);
		expect(await commands.expect("transfer", "dans:/own/work/d1/f1", "dans:/own/again")).toContain("SUCCEEDED");
		expect((await commands.expect("transfer", "list", "-q")).trim().split("\n")).toHaveLength(4);
	} finally {
		await commands.close();
		rmSync(laptop, { recursive: true });
	}
});
