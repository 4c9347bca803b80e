/** One transfer between two agents' parts in one process: what goes wrong on the way. */
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
	appendFileSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	truncateSync,
	writeFileSync,
} from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chunkBytes } from "@errand/proto";
import type { DestinationAssignment, SourceAssignment, TransferReport } from "@errand/proto/rest";
import { pino } from "pino";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type LinkIdentity, loadLinkIdentity } from "../link/certificate.ts";
import { DiskThreads } from "./disk-threads.ts";
import { Pull } from "./pull.ts";
import { PullJournal } from "./pull-journal.ts";
import { openRemoteSource } from "./remote-source.ts";
import { Reporter } from "./reporter.ts";
import type { Source } from "./source.ts";
import { openSourceServer, type SourceServer } from "./source-server.ts";

const id = "0b2f8c0e-8a57-4a53-9d51-2f6f0a3f4d11";
const log = pino({ level: process.env.TEST_LOG ?? "silent" });
const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
const [firstToken, secondToken] = ["first-token-of-the-test-00", "second-token-of-the-test-0"];

let place: string;
let threads: DiskThreads;
let server: SourceServer;
let identities: { source: LinkIdentity; destination: LinkIdentity };
let closing: (() => unknown)[];

beforeEach(async () => {
	place = mkdtempSync(join(tmpdir(), "errand-pull-"));
	for (const name of ["from", "to", "a", "b"]) mkdirSync(join(place, name));
	threads = new DiskThreads(fileURLToPath(new URL("./main.ts", import.meta.url)), 2);
	identities = {
		source: await loadLinkIdentity(join(place, "a")),
		destination: await loadLinkIdentity(join(place, "b")),
	};
	server = await openSourceServer({
		port: 0,
		host: "127.0.0.1",
		identity: identities.source,
		roots: new Map([["data", join(place, "from")]]),
		work: threads.work,
		log,
		nowMs: Date.now,
	});
	closing = [];
});
afterEach(async () => {
	for (const close of closing.reverse()) await close();
	await server.close();
	await threads.close();
	rmSync(place, { recursive: true, force: true });
});

const later = (ms: number): string => new Date(Date.now() + ms).toISOString();

function sourceAssignment(more: Partial<SourceAssignment> = {}): SourceAssignment {
	return {
		role: "source",
		transfer_id: id,
		used_route: "direct",
		items: [{ source_path: "/data", destination_path: "/data", recursive: true }],
		recursive_symlinks: "ignore",
		filter_rules: [],
		relay_token: "",
		read_tokens: [{ sha256: sha256(firstToken), ends_at: later(60_000) }],
		peer_certificate: identities.destination.certificate,
		...more,
	};
}

function destinationAssignment(more: Partial<DestinationAssignment> = {}): DestinationAssignment {
	return {
		role: "destination",
		transfer_id: id,
		used_route: "direct",
		items: [{ source_path: "/data", destination_path: "/data", recursive: true }],
		recursive_symlinks: "ignore",
		filter_rules: [],
		relay_token: "",
		verify: "wire",
		preserve_timestamp: false,
		delete_destination_extra: false,
		skip_source_errors: false,
		read_token: firstToken,
		write_token: "",
		tokens_end_at: later(60_000),
		peer_certificate: identities.source.certificate,
		peer_addresses: [`127.0.0.1:${server.port}`],
		...more,
	};
}

function openPull(
	options: {
		assignment?: Partial<DestinationAssignment>;
		to?: string;
		wrap?: (source: Source) => Source;
		renew?: () => void;
	} = {},
) {
	let assignment = destinationAssignment(options.assignment);
	const ending = new AbortController();
	const reports: Omit<TransferReport, "write_token">[] = [];
	const reporter = new Reporter(
		async (report) => {
			reports.push(report);
			return report.outcome?.status ?? "ACTIVE";
		},
		ending.signal,
		log,
	);
	const remote = openRemoteSource({
		assignment: () => assignment,
		identity: identities.destination,
		cloudUrl: "http://127.0.0.1:9",
		connections: 2,
	});
	closing.push(
		() => remote.close(),
		() => ending.abort(new Error("the test is over")),
	);
	const journal = new PullJournal(join(place, "journal"));
	const pull = new Pull({
		assignment: () => assignment,
		renew: async () => {
			options.renew?.();
			assignment = { ...assignment, read_token: secondToken };
		},
		source: options.wrap?.(remote) ?? remote,
		roots: new Map([["data", options.to ?? join(place, "to")]]),
		work: threads.work,
		journal,
		reporter,
		connections: 2,
		signal: ending.signal,
		log,
	});
	const codes = (): string[] => reports.flatMap((report) => report.events?.map((event) => event.code) ?? []);
	return { pull, reporter, journal, ending, reports, codes };
}

const write = (name: string, bytes: Buffer): void => writeFileSync(join(place, "from", name), bytes);
const copied = (name: string): Buffer => readFileSync(join(place, "to", name));

/** Before the chunk of this number is asked for, counted over all files. */
function beforeChunk(number: number, act: () => void) {
	let asked = 0;
	return (source: Source): Source => ({
		...source,
		async chunk(...args) {
			if (asked++ === number) act();
			return await source.chunk(...args);
		},
	});
}

test("a byte that is changed on the way is noticed, and is asked for again", { timeout: 20_000 }, async () => {
	server.serve([sourceAssignment()]);
	const bytes = randomBytes(3 * chunkBytes);
	write("large", bytes);
	let passed = 0;
	let flipped = 0;
	const sockets = new Set<Socket>();
	const proxy = createServer((client) => {
		const upstream = connect(server.port, "127.0.0.1");
		for (const socket of [client, upstream]) {
			sockets.add(socket);
			socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
		}
		client.pipe(upstream);
		upstream.on("data", (piece: Buffer) => {
			passed += piece.length;
			if (passed > 5_000_000 * (flipped + 1) && flipped < 2) {
				flipped++;
				const at = piece.length >> 1;
				piece[at] = (piece[at] as number) ^ 1;
			}
			client.write(piece);
		});
		upstream.on("close", () => client.destroy());
		client.on("close", () => upstream.destroy());
	});
	await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
	closing.push(() => {
		proxy.close();
		for (const socket of sockets) socket.destroy();
	});
	const { port } = proxy.address() as { port: number };
	const { pull, reporter } = openPull({ assignment: { peer_addresses: [`127.0.0.1:${port}`] } });
	expect(await pull.run()).toEqual({ status: "SUCCEEDED" });
	expect(flipped).toBe(2);
	expect(reporter.counters.faults).toBeGreaterThanOrEqual(1);
	expect(copied("large").equals(bytes)).toBe(true);
});

test("what is damaged inside an agent is noticed too: the digest was made where the file was read", async () => {
	server.serve([sourceAssignment()]);
	const bytes = randomBytes(2 * chunkBytes + 5);
	write("large", bytes);
	write("small", Buffer.from("small"));
	let damaged = 0;
	const spoil = (from: Uint8Array): void => {
		if (damaged++ < 2) from[0] = (from[0] as number) ^ 1;
	};
	const { pull, codes, reporter } = openPull({
		wrap: (source) => ({
			...source,
			async chunk(...args) {
				const read = await source.chunk(...args);
				spoil(read.bytes);
				return read;
			},
			async pack(...args) {
				const read = await source.pack(...args);
				spoil(read.bytes);
				return read;
			},
		}),
	});
	expect(await pull.run()).toEqual({ status: "SUCCEEDED" });
	await vi.waitFor(() => expect(codes()).toContain("CHECKSUM_MISMATCH"));
	expect(reporter.counters.faults).toBe(2);
	expect(copied("large").equals(bytes)).toBe(true);
	expect(copied("small").toString()).toBe("small");
});

test("a file that changes while it is read arrives as it is at the end, and never half and half", async () => {
	server.serve([sourceAssignment()]);
	write("growing", randomBytes(4 * chunkBytes));
	const path = join(place, "from/growing");
	const { pull, codes } = openPull({ wrap: beforeChunk(2, () => appendFileSync(path, "more")) });
	expect(await pull.run()).toEqual({ status: "SUCCEEDED" });
	expect(copied("growing").equals(readFileSync(path))).toBe(true);
	await vi.waitFor(() => expect(codes()).toContain("SOURCE_CHANGED"));
	expect(readdirSync(join(place, "to"))).toEqual(["growing"]);
});

test("a file that never stops changing fails with the reason", async () => {
	server.serve([sourceAssignment()]);
	write("restless", randomBytes(2 * chunkBytes));
	const path = join(place, "from/restless");
	const wrap = (source: Source): Source => ({
		...source,
		chunk(...args) {
			appendFileSync(path, "x");
			return source.chunk(...args);
		},
	});
	expect(await openPull({ wrap }).pull.run()).toMatchObject({ fatal_error: { code: "SOURCE_CHANGED" } });
	expect(readdirSync(join(place, "to"))).toEqual([]);
});

test("a token that ends on the way is renewed, and the transfer goes on", async () => {
	server.serve([sourceAssignment()]);
	const bytes = randomBytes(5 * chunkBytes);
	write("large", bytes);
	const ended = sourceAssignment({
		read_tokens: [
			{ sha256: sha256(firstToken), ends_at: later(-1) },
			{ sha256: sha256(secondToken), ends_at: later(60_000) },
		],
	});
	const renew = vi.fn();
	const { pull, codes } = openPull({ wrap: beforeChunk(2, () => server.serve([ended])), renew });
	expect(await pull.run()).toEqual({ status: "SUCCEEDED" });
	expect(renew).toHaveBeenCalled();
	await vi.waitFor(() => expect(codes()).toContain("TOKEN_EXPIRED"));
	expect(copied("large").equals(bytes)).toBe(true);
});

test("whoever has the token but another certificate, or asks for what is not named, gets nothing", async () => {
	write("mine", Buffer.from("mine"));
	server.serve([
		sourceAssignment({ items: [{ source_path: "/data/other", destination_path: "/data/x", recursive: true }] }),
	]);
	const stranger = await loadLinkIdentity(join(place, "to"));
	const signal = AbortSignal.timeout(5_000);
	const as = (identity: LinkIdentity) => {
		const assignment = destinationAssignment();
		const source = openRemoteSource({ assignment: () => assignment, identity, cloudUrl: "", connections: 1 });
		closing.push(() => source.close());
		return source;
	};
	await expect(as(stranger).look({ item: 0, path: "mine" }, signal)).rejects.toMatchObject({ tokenEnded: true });
	const known = as(identities.destination);
	await expect(known.look({ item: 0, path: "../mine" }, signal)).rejects.toMatchObject({
		code: "PATH_OUTSIDE_COLLECTION",
	});
	await expect(known.look({ item: 1, path: "" }, signal)).rejects.toMatchObject({ code: "PATH_OUTSIDE_COLLECTION" });
	server.serve([]);
	await expect(known.look({ item: 0, path: "x" }, signal)).rejects.toMatchObject({ notYet: true });
});

test("a full disk ends the transfer in words, and leaves nothing half done", async () => {
	const small = join(place, "small-disk");
	mkdirSync(small);
	execFileSync("mount", ["-t", "tmpfs", "-o", "size=20m", "tmpfs", small]);
	closing.push(() => execFileSync("umount", [small]));
	server.serve([sourceAssignment()]);
	write("a-fits", randomBytes(1000));
	write("large", randomBytes(4 * chunkBytes));
	const { pull } = openPull({ to: small });
	expect(await pull.run()).toMatchObject({
		status: "FAILED",
		fatal_error: { code: "DISK_FULL", description: expect.stringContaining("the disk is full") },
	});
	expect(readdirSync(small).filter((name) => name !== "a-fits")).toEqual([]);
});

test("after an interruption only what is missing is fetched, and after a restart of the machine only what the disk has counts", async () => {
	server.serve([sourceAssignment()]);
	const bytes = randomBytes(6 * chunkBytes);
	write("large", bytes);
	const first = openPull({ wrap: beforeChunk(3, () => first.ending.abort(new Error("killed"))) });
	await expect(first.pull.run()).rejects.toThrow("killed");
	const notes = first.journal.chunkNotes(1);
	expect(notes?.chunks.length).toBeGreaterThanOrEqual(1);
	// As if the machine had lost what it had not yet written: one chunk is not there any more.
	const part = join(place, "to", String(notes?.part));
	const lost = notes?.chunks[0]?.[0] ?? -1;
	const damaged = readFileSync(part);
	damaged.fill(0, lost * chunkBytes, lost * chunkBytes + 100);
	writeFileSync(part, damaged);
	const path = join(place, "journal/chunks-1.ndjson");
	writeFileSync(path, readFileSync(path, "utf8").replace(String(notes?.boot), "another-boot"));
	const asked: number[] = [];
	const second = openPull({
		wrap: (source) => ({
			...source,
			chunk(file, offset, ...args) {
				asked.push(offset / chunkBytes);
				return source.chunk(file, offset, ...args);
			},
		}),
	});
	expect(await second.pull.run()).toEqual({ status: "SUCCEEDED" });
	expect(asked).toContain(lost);
	expect(asked.length).toBe(6 - (notes?.chunks.length ?? 0) + 1);
	expect(copied("large").equals(bytes)).toBe(true);
});

test("an empty file, a file of exactly one chunk and one of a byte more", async () => {
	server.serve([sourceAssignment()]);
	for (const size of [0, chunkBytes, chunkBytes + 1]) write(`size-${size}`, randomBytes(size));
	truncateSync(join(place, "from/size-0"), 0);
	const { pull, reporter } = openPull({ assignment: { verify: "disk" } });
	expect(await pull.run()).toEqual({ status: "SUCCEEDED" });
	for (const name of readdirSync(join(place, "from"))) {
		expect(copied(name).equals(readFileSync(join(place, "from", name))), name).toBe(true);
	}
	expect(reporter.counters).toMatchObject({ files: 3, files_transferred: 3, faults: 0, bytes: 2 * chunkBytes + 1 });
});
