import { once } from "node:events";
import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { backOffMs, openConnection } from "./connection.ts";
import type { Log } from "./logging.ts";

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };

describe("a connection to a broker that is not there", () => {
	it("waits longer each time, never longer than ten seconds, and never twice the same", () => {
		const longest = Array.from({ length: 12 }, (_, attempt) => backOffMs(attempt, () => 1));
		expect(longest.slice(0, 4)).toEqual([100, 200, 400, 800]);
		expect(longest.at(-1)).toBe(10_000);
		expect(backOffMs(3, () => 0)).toBe(400);
		expect(backOffMs(1000, () => 0)).toBe(5_000);
	});

	it("says what it waits for, tries again, and can be closed while it waits", async () => {
		const server = createServer((socket) => socket.destroy()).listen(0, "127.0.0.1");
		await once(server, "listening");
		const { port } = server.address() as { port: number };
		const { promise: said, resolve } = Promise.withResolvers<unknown>();
		let times = 0;
		const connection = openConnection({
			url: `amqp://a:b@127.0.0.1:${port}/%2F`,
			log: { ...silent, warn: (fields: unknown) => ++times === 2 && resolve(fields) },
			name: "waiting",
		});
		const published = connection.publisher().publish("results", "k", Buffer.from("x"));
		expect(await said).toMatchObject({ connection: "waiting", attempt: 1 });
		const ended = expect(published).rejects.toThrow("is closed");
		await connection.close();
		await ended;
		await expect(connection.connected()).rejects.toThrow("is closed");
		server.close();
	});

	it("gives up a message when its signal says so", async () => {
		const server = createServer().listen(0, "127.0.0.1");
		await once(server, "listening");
		server.on("connection", (socket) => socket.destroy());
		const { port } = server.address() as { port: number };
		const connection = openConnection({ url: `amqp://a:b@127.0.0.1:${port}/%2F`, log: silent, name: "aborting" });
		const stop = new AbortController();
		const published = connection.publisher().publish("results", "k", Buffer.from("x"), { signal: stop.signal });
		stop.abort(new Error("no longer wanted"));
		await expect(published).rejects.toThrow("no longer wanted");
		await connection.close();
		server.close();
	});
});
