import { createHash } from "node:crypto";
import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AwsV4Signer } from "aws4fetch";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { blobStoreContract } from "./blobs.contract.ts";
import { openBlobDirectory } from "./directory.ts";
import { openS3Blobs } from "./s3.ts";

let directory: string;
beforeAll(async () => {
	directory = await mkdtemp(join(tmpdir(), "errand-blobs-"));
});
afterAll(async () => {
	await rm(directory, { recursive: true, force: true });
});

const hidden = async (): Promise<string[]> => (await readdir(directory)).filter((name) => name.startsWith("."));

describe("a directory", () => {
	blobStoreContract({ open: (limitBytes) => openBlobDirectory({ directory, limitBytes }), leftovers: hidden });

	test("keeps files for its user only, and clears what an ended process left unfinished", async () => {
		await writeFile(join(directory, ".part-old"), "half");
		const store = await openBlobDirectory({ directory });
		expect(await hidden()).toEqual([]);
		const sha256 = createHash("sha256").update("x").digest("hex");
		await store.put(
			sha256,
			(async function* () {
				yield Buffer.from("x");
			})(),
		);
		expect((await stat(join(directory, sha256.slice(0, 2), sha256.slice(2)))).mode & 0o777).toBe(0o600);
	});
});

const credentials = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "a secret" };

describe("a bucket", () => {
	const objects = new Map<string, Buffer>();
	let server: Server;
	let failures = 0;

	/** As much of S3 as the store uses, with its checks of signature and payload. */
	beforeAll(async () => {
		server = createServer((request, response) => {
			const chunks: Buffer[] = [];
			request.on("data", (chunk: Buffer) => chunks.push(chunk));
			request.on("end", () => {
				const end = (status: number, body: string | Buffer = ""): void => {
					response.writeHead(status, { "content-length": Buffer.byteLength(body) });
					response.end(body);
				};
				const headers = new Headers();
				const signed = /SignedHeaders=([^,]+)/.exec(request.headers.authorization ?? "")?.[1]?.split(";") ?? [];
				for (const name of signed) if (name !== "host") headers.set(name, String(request.headers[name]));
				const url = `http://${request.headers.host}${request.url}`;
				void new AwsV4Signer({
					...credentials,
					url,
					method: request.method ?? "GET",
					headers,
					service: "s3",
					region: "r1",
					datetime: String(request.headers["x-amz-date"]),
				})
					.sign()
					.then(({ headers: expected }) => {
						if (expected.get("authorization") !== request.headers.authorization)
							return end(403, "<Error><Code>SignatureDoesNotMatch</Code></Error>");
						if (failures > 0) return end(failures-- > 0 ? 503 : 200);
						if (request.url === "/values") return end(200);
						const key = request.url ?? "";
						const body = Buffer.concat(chunks);
						if (request.method === "PUT") {
							if (request.headers["content-length"] === undefined) return end(411);
							if (createHash("sha256").update(body).digest("hex") !== request.headers["x-amz-content-sha256"])
								return end(400);
							objects.set(key, body);
							return end(200);
						}
						if (request.method === "DELETE") return end(objects.delete(key) ? 204 : 404);
						const found = objects.get(key);
						if (found === undefined) return end(404);
						response.writeHead(200, { "content-length": found.length });
						response.end(request.method === "HEAD" ? undefined : found);
					});
			});
		});
		await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
	});
	afterAll(() => void server.close());

	const open = (limitBytes: number, secretAccessKey = credentials.secretAccessKey) =>
		openS3Blobs({
			...credentials,
			secretAccessKey,
			endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
			bucket: "values",
			region: "r1",
			prefix: "errand/",
			spoolDirectory: directory,
			limitBytes,
		});

	blobStoreContract({ open, leftovers: hidden });

	test("a service that cannot serve for a moment is asked again", async () => {
		const store = await open(1000);
		failures = 2;
		await store.check();
		expect(failures).toBe(0);
	});

	test("a wrong secret is a fault of the store that does not tell the secret", async () => {
		const store = await open(1000, "wrong secret");
		await expect(store.check()).rejects.toMatchObject({
			code: "BLOB_STORE_FAILED",
			message: expect.not.stringContaining("wrong secret"),
		});
	});
});
