import { createHash, X509Certificate } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type DaemonMessage, HelloSchema, ManagerMessageSchema } from "@errand/proto/wire";
import { Client, credentials, Metadata, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { silentLogger } from "../service/logger.ts";
import { BlobCache, type BlobRemote } from "./blob-cache.ts";
import { blockTokens, loadBlockTokens } from "./block-token.ts";
import { linkServerName, loadLinkIdentity } from "./certificate.ts";
import { linkDefaults, openLink } from "./link.ts";
import { managerService } from "./manager-service.ts";

let directory: string;
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "errand-link-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const noRemote: BlobRemote = { download: () => Promise.reject(new Error("none")), upload: async () => undefined };

describe("identity of the link", () => {
	test("the certificate is made once, signs itself, has one name, and its file is private", async () => {
		const first = await loadLinkIdentity(directory);
		const certificate = new X509Certificate(first.certificate);
		expect(certificate.checkHost(linkServerName)).toBe(linkServerName);
		expect(certificate.verify(certificate.publicKey)).toBe(true);
		expect(await loadLinkIdentity(directory)).toEqual(first);
		for (const name of readdirSync(directory)) expect(statSync(join(directory, name)).mode & 0o077).toBe(0);
	});

	test("a block's token is good for that block alone", async () => {
		const tokens = await loadBlockTokens(directory);
		const token = tokens.issue("block-1");
		expect(tokens.check(token)).toBe("block-1");
		expect(tokens.check(token.replace("block-1", "block-2"))).toBeUndefined();
		expect(tokens.check("")).toBeUndefined();
		expect(blockTokens(new Uint8Array(32)).check(token)).toBeUndefined();
		expect((await loadBlockTokens(directory)).check(token)).toBe("block-1");
	});
});

describe("admission", () => {
	async function attach(token: string, blockId: string): Promise<DaemonMessage | number> {
		const identity = await loadLinkIdentity(directory);
		const tokens = await loadBlockTokens(directory);
		const link = await openLink({
			host: "127.0.0.1",
			port: 0,
			identity,
			tokens,
			blobs: await BlobCache.open(join(directory, "blobs"), noRemote, silentLogger),
			limits: linkDefaults,
			nowMs: Date.now,
			log: silentLogger,
			functionOf: () => undefined,
			events: { attached: () => [], welcomed: () => {}, detached: () => {}, results: () => {}, reports: () => {} },
		});
		const client = new Client(`127.0.0.1:${link.port}`, credentials.createSsl(Buffer.from(identity.certificate)), {
			"grpc.ssl_target_name_override": linkServerName,
		});
		const metadata = new Metadata();
		metadata.set("authorization", `Bearer ${token === "" ? tokens.issue("block-1") : token}`);
		const { path, requestSerialize, responseDeserialize } = managerService.attach;
		const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
		const answer = await new Promise<DaemonMessage | number>((resolve) => {
			stream.on("data", resolve);
			stream.on("error", (error: Error & { code: number }) => resolve(error.code));
			const value = create(HelloSchema, { managerId: "m", blockId, node: { cores: 1, maxWorkers: 1 } });
			stream.write(create(ManagerMessageSchema, { message: { case: "hello", value } }));
		});
		stream.cancel();
		client.close();
		await link.close();
		return answer;
	}

	test("a manager with its block's token is welcomed", async () => {
		expect(await attach("", "block-1")).toMatchObject({
			message: { case: "welcome", value: { silenceLimitMs: 30_000 } },
		});
	});

	test("without a good token, or with that of another block, it is refused", async () => {
		expect(await attach("block-1.forged", "block-1")).toBe(status.UNAUTHENTICATED);
		expect(await attach("", "block-2")).toBe(status.INVALID_ARGUMENT);
	});
});

describe("blob cache", () => {
	const content = Buffer.from("a value above the limit");
	const sha256 = createHash("sha256").update(content).digest("hex");
	const blob = { sha256, sizeBytes: content.length };
	async function* pieces(...parts: Uint8Array[]): AsyncGenerator<Uint8Array> {
		yield* parts;
	}

	test("NEW-14: a download that breaks goes on where it broke, and is fetched once", async () => {
		const offsets: number[] = [];
		const remote: BlobRemote = {
			...noRemote,
			download: async (_, offset) => {
				offsets.push(offset);
				if (offset > 0) return pieces(content.subarray(offset));
				return (async function* () {
					yield content.subarray(0, 5);
					throw new Error("the connection broke");
				})();
			},
		};
		const cache = await BlobCache.open(directory, remote, silentLogger);
		await Promise.all([cache.get(blob), cache.get(blob)]);
		const read: Uint8Array[] = [];
		for await (const piece of cache.read(blob)) read.push(piece);
		expect(Buffer.concat(read)).toEqual(content);
		expect(offsets).toEqual([0, 5]);
	});

	test("NEW-14: other bytes than were stored are refused and leave nothing behind", async () => {
		const remote: BlobRemote = { ...noRemote, download: async () => pieces(Buffer.from("A value above the limit")) };
		const cache = await BlobCache.open(directory, remote, silentLogger);
		await expect(cache.get(blob)).rejects.toMatchObject({ code: "CHECKSUM_MISMATCH" });
		expect(readdirSync(directory)).toEqual([]);
	});

	test("NEW-14: a result is kept until the cloud has it", async () => {
		const uploaded: string[] = [];
		const remote: BlobRemote = { ...noRemote, upload: async (name) => void uploaded.push(name) };
		const cache = await BlobCache.open(directory, remote, silentLogger);
		expect(await cache.put(pieces(content.subarray(0, 3), content.subarray(3)))).toEqual(blob);
		expect(readdirSync(directory)).toEqual([sha256]);
		await Promise.all([cache.deliver(blob), cache.deliver(blob)]);
		expect(uploaded).toEqual([sha256]);
		expect(readdirSync(directory)).toEqual([]);
		await cache.deliver(blob);
	});
});
