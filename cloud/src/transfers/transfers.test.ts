import { createServer, request } from "node:http";
import { connect, type Socket } from "node:net";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Capabilities } from "./capability.ts";
import { openRelay, type Relay } from "./relay.ts";
import { chooseRoute } from "./route.ts";

const transfer = "0b2f8c0e-8a57-4a53-9d51-2f6f0a3f4d11";
const other = "1b2f8c0e-8a57-4a53-9d51-2f6f0a3f4d11";

describe("a right", () => {
	const rights = new Capabilities(Buffer.alloc(32, 7), 1000);

	test("is good in its period and the next, and not after that", () => {
		const { token, endsAtMs } = rights.issue("read", transfer, 5_500);
		expect(endsAtMs).toBe(7_000);
		for (const atMs of [5_500, 6_999]) expect(rights.holds("read", transfer, token, atMs)).toBe(true);
		for (const atMs of [4_999, 7_000]) expect(rights.holds("read", transfer, token, atMs)).toBe(false);
	});

	test("is for one thing, of one transfer, of one cloud", () => {
		const { token } = rights.issue("read", transfer, 0);
		for (const right of ["write", "relay-source", "relay-destination"] as const)
			expect(rights.holds(right, transfer, token, 0)).toBe(false);
		expect(rights.holds("read", other, token, 0)).toBe(false);
		expect(new Capabilities(Buffer.alloc(32, 8), 1000).holds("read", transfer, token, 0)).toBe(false);
		expect(rights.holds("read", transfer, `${token}x`, 0)).toBe(false);
	});
});

test("the way: within an agent, directly where the source listens, else by the relay, or as it was asked for", () => {
	const [a, b] = [
		{ id: "a", addresses: ["h:1"] },
		{ id: "b", addresses: [] },
	];
	expect(chooseRoute({ source: a, destination: a, wanted: "relay" })).toBe("local");
	expect(chooseRoute({ source: a, destination: b })).toBe("direct");
	expect(chooseRoute({ source: b, destination: a })).toBe("relay");
	expect(chooseRoute({ source: a, destination: b, wanted: "relay" })).toBe("relay");
});

describe("the relay", () => {
	const capabilities = new Capabilities(Buffer.alloc(32, 9));
	let relay: Relay;
	let port: number;
	let server: ReturnType<typeof createServer>;
	let sockets: Socket[];
	beforeEach(async () => {
		relay = openRelay({ capabilities, metrics: { gauge: () => undefined }, log: pino({ level: "silent" }) });
		server = createServer();
		server.on("upgrade", (message, socket, head) => {
			if (!relay.upgrade(message, socket, head)) socket.destroy();
		});
		await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
		({ port } = server.address() as { port: number });
		sockets = [];
	});
	afterEach(async () => {
		relay.close();
		for (const socket of sockets) socket.destroy();
		await new Promise((resolve) => server.close(resolve));
	});

	const tokenOf = (side: "source" | "destination", of = transfer): string =>
		capabilities.issue(`relay-${side}`, of, Date.now()).token;

	/** The joined connection, or the status of the refusal. */
	function dial(side: string, token: string, of = transfer): Promise<Socket | number> {
		return new Promise((resolve, reject) => {
			const asked = request({
				host: "127.0.0.1",
				port,
				path: `/v1/transfers/${of}/relay/${side}`,
				headers: { connection: "Upgrade", upgrade: "errand-relay", authorization: `Bearer ${token}` },
			});
			asked.once("upgrade", (_response, socket: Socket, head) => {
				if (head.length > 0) socket.unshift(head);
				sockets.push(socket);
				resolve(socket);
			});
			asked.once("response", (response) => resolve(response.statusCode ?? 0));
			asked.once("error", reject);
			asked.end();
		});
	}

	const hears = (socket: Socket): Promise<string> =>
		new Promise((resolve) => socket.once("data", (data) => resolve(String(data))));

	test.each(["source", "destination"] as const)("joins both ends, whichever comes first: %s", async (first) => {
		const second = first === "source" ? "destination" : "source";
		const one = (await dial(first, tokenOf(first))) as Socket;
		one.write("early");
		const two = (await dial(second, tokenOf(second))) as Socket;
		expect(await hears(two)).toBe("early");
		two.write("answer");
		expect(await hears(one)).toBe("answer");
		const gone = new Promise((resolve) => one.once("close", resolve));
		one.resume();
		two.destroy();
		await gone;
	});

	test("joins nobody of another transfer, and each connection with one", async () => {
		const here = (await dial("source", tokenOf("source"))) as Socket;
		const there = (await dial("destination", tokenOf("destination", other), other)) as Socket;
		const [a, b] = [
			(await dial("destination", tokenOf("destination"))) as Socket,
			await dial("source", tokenOf("source", other), other),
		];
		here.write("first");
		(b as Socket).write("second");
		expect(await hears(a)).toBe("first");
		expect(await hears(there)).toBe("second");
	});

	test("refuses a token of the other end, of another transfer, and none", async () => {
		expect(await dial("source", tokenOf("destination"))).toBe(401);
		expect(await dial("destination", tokenOf("source"))).toBe(401);
		expect(await dial("source", tokenOf("source", other))).toBe(401);
		expect(await dial("source", "")).toBe(401);
		expect(await dial("middle", tokenOf("source"))).toBe(404);
	});

	test("lets so many of one end wait, and no more", async () => {
		const enough = Promise.withResolvers<void>();
		let ended = 0;
		const all = await Promise.all(
			Array.from({ length: 40 }, async () => {
				const socket = (await dial("source", tokenOf("source"))) as Socket;
				socket.resume().once("close", () => ++ended === 8 && enough.resolve());
				return socket;
			}),
		);
		await enough.promise;
		expect(all.filter((socket) => !socket.destroyed)).toHaveLength(32);
	});

	test("what is no request of the relay's is not its business", async () => {
		const socket = connect(port, "127.0.0.1");
		sockets.push(socket);
		socket.write("GET /v1/stream HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
		await new Promise((resolve) => socket.once("close", resolve));
	});
});
