/** What every blob store promises. */
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import type { BlobStore } from "./blobs.ts";

/** `open`: a store with this limit. `leftovers`: files in the store's own directories that are not whole blobs. */
export function blobStoreContract(ports: {
	open: (limitBytes: number) => Promise<BlobStore>;
	leftovers: () => Promise<string[]>;
}): void {
	const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
	async function* pieces(bytes: Uint8Array, size = 10_000): AsyncGenerator<Uint8Array> {
		for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
	}
	const text = Buffer.from("a value ".repeat(20_000));

	test("NEW-14: what was stored is read back whole, under its checksum, stored twice or not", async () => {
		const store = await ports.open(1e6);
		expect(await store.put(digest(text), pieces(text))).toBe(text.length);
		expect(await store.put(digest(text), pieces(text, 3))).toBe(text.length);
		const found = await store.get(digest(text));
		expect(found?.sizeBytes).toBe(text.length);
		const chunks: Uint8Array[] = [];
		for await (const chunk of found?.body ?? []) chunks.push(chunk);
		expect(Buffer.concat(chunks).equals(text)).toBe(true);
		expect(await store.size(digest(text))).toBe(text.length);
		expect(await ports.leftovers()).toEqual([]);
		await store.check();
	});

	test("an empty value is a value", async () => {
		const store = await ports.open(1e6);
		const empty = Buffer.alloc(0);
		expect(await store.put(digest(empty), pieces(empty))).toBe(0);
		expect(await store.size(digest(empty))).toBe(0);
	});

	test("other bytes than the checksum says, too many, or a broken stream leave nothing behind", async () => {
		const store = await ports.open(1000);
		const small = Buffer.from("small");
		await expect(store.put(digest(Buffer.from("else")), pieces(small))).rejects.toMatchObject({
			code: "CHECKSUM_MISMATCH",
		});
		const large = Buffer.alloc(1001);
		await expect(store.put(digest(large), pieces(large, 100))).rejects.toMatchObject({ code: "BLOB_TOO_LARGE" });
		async function* broken(): AsyncGenerator<Uint8Array> {
			yield Buffer.from("sm");
			throw new Error("the connection was lost");
		}
		await expect(store.put(digest(small), broken())).rejects.toMatchObject({ code: "BLOB_STORE_FAILED" });
		for (const bytes of [Buffer.from("else"), large, small]) expect(await store.size(digest(bytes))).toBeUndefined();
		expect(await ports.leftovers()).toEqual([]);
	});

	test("what is deleted or was never there is not found; deleting twice is no error", async () => {
		const store = await ports.open(1e6);
		await store.put(digest(text), pieces(text));
		await store.delete(digest(text));
		await store.delete(digest(text));
		expect(await store.get(digest(text))).toBeUndefined();
		expect(await store.size(digest(text))).toBeUndefined();
	});

	test.each(["../../etc/passwd", "", "A".repeat(64), `${"a".repeat(63)}/`])(
		"a name that is not a checksum is refused: %j",
		async (name) => {
			const store = await ports.open(1e6);
			for (const attempt of [
				() => store.get(name),
				() => store.size(name),
				() => store.delete(name),
				() => store.put(name, pieces(text)),
			])
				await expect(attempt()).rejects.toMatchObject({ code: "REQUEST_MALFORMED" });
		},
	);
}
