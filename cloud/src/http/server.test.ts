import { once } from "node:events";
import { createServer, get, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { expect, test } from "vitest";
import { createLog } from "../observe/log.ts";
import { openHttpServer } from "./server.ts";

const log = createLog({ level: "silent" });
const upgrade = (): void => {};

test("before it serves, it tells every request to come back", async () => {
	const server = await openHttpServer({ host: "127.0.0.1", port: 0, log });
	const early = await fetch(`${server.url}/v1/tasks`);
	expect(early.status).toBe(503);
	expect(early.headers.get("retry-after")).toBe("5");
	expect(await early.json()).toMatchObject({ code: "NOT_READY" });
	server.serve({ handle: (_request, response) => void response.end("served"), upgrade });
	expect(await (await fetch(server.url)).text()).toBe("served");
	await server.close();
});

test("a request that offers another protocol than WebSocket is answered as if it did not", async () => {
	const server = await openHttpServer({ host: "127.0.0.1", port: 0, log });
	server.serve({ handle: (_request, response) => void response.end("served"), upgrade });
	const request = get(server.url, { headers: { connection: "Upgrade, HTTP2-Settings", upgrade: "h2c" } });
	const [response] = (await once(request, "response")) as [IncomingMessage];
	expect(response.statusCode).toBe(200);
	response.resume();
	await once(response, "end");
	await server.close();
});

test("what is no request, or one with too long a path, gets the one error body, too", async () => {
	const server = await openHttpServer({ host: "127.0.0.1", port: 0, log });
	server.serve({ handle: (_request, response) => void response.end("served"), upgrade });
	const answerTo = async (text: string): Promise<unknown> => {
		const socket = connect(server.port, "127.0.0.1");
		socket.write(text);
		const pieces: Buffer[] = [];
		for await (const piece of socket) pieces.push(piece as Buffer);
		const [head = "", body = ""] = Buffer.concat(pieces).toString().split("\r\n\r\n");
		expect(head).toMatch(/^HTTP\/1.1 400 Bad Request\r\n/);
		return JSON.parse(body);
	};
	expect(await answerTo("hello\r\n\r\n")).toMatchObject({ code: "REQUEST_MALFORMED", status: "Failed" });
	const long = await answerTo(`GET /${"x".repeat(40_000)} HTTP/1.1\r\nHost: x\r\n\r\n`);
	expect(long).toMatchObject({ detail: expect.stringContaining("more than 32768 bytes") });
	await server.close();
});

test("a port that is taken is named", async () => {
	const other = createServer().listen(0, "127.0.0.1");
	await once(other, "listening");
	const { port } = other.address() as { port: number };
	await expect(openHttpServer({ host: "127.0.0.1", port, log })).rejects.toThrow(
		`cannot listen on 127.0.0.1 port ${port}: another program has that port`,
	);
	other.close();
});

test("closing lets a request that is under way end", async () => {
	const server = await openHttpServer({ host: "127.0.0.1", port: 0, log });
	let finish = (): void => {};
	const arrived = new Promise<void>((resolve) => {
		server.serve({
			upgrade,
			handle: (_request, response) => {
				finish = () => response.end("done");
				resolve();
			},
		});
	});
	const reply = fetch(server.url);
	await arrived;
	const closed = server.close();
	finish();
	expect(await (await reply).text()).toBe("done");
	await closed;
	await expect(fetch(server.url)).rejects.toThrow();
});
