import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { whoAnswersAt } from "./globus-address.ts";
import { type Forward, openForward } from "./globus-forward.ts";

let cloud: Server;
let cloudUrl: string;
let forward: Forward;
const trouble: string[] = [];

beforeEach(async () => {
	cloud = createServer((incoming, outgoing) => {
		let body = "";
		incoming.on("data", (part) => (body += part));
		incoming.on("end", () => {
			const { method, url, headers } = incoming;
			if (url === "/v1/cloud") {
				const limits = { inline_limit_bytes: 1, submit_limit_bytes: 1, submit_limit_tasks: 1 };
				const names = { name: "Errand", version: "1", issuer: "https://e.example", client_id: "c", scopes: [] };
				outgoing.end(JSON.stringify({ ...names, ...limits }));
				return;
			}
			outgoing.writeHead(method === "POST" ? 422 : 200, { "x-served": "yes" });
			outgoing.end(JSON.stringify({ method, url, headers, body }));
		});
	});
	await new Promise<void>((resolve) => cloud.listen(0, "127.0.0.1", resolve));
	cloudUrl = `http://127.0.0.1:${(cloud.address() as AddressInfo).port}`;
	trouble.length = 0;
	forward = await openForward({ cloudUrl, port: 0, onTrouble: (message) => trouble.push(message) });
});
afterEach(async () => {
	await forward[Symbol.asyncDispose]();
	cloud.closeAllConnections();
	await new Promise((resolve) => cloud.close(resolve));
});

const at = (path: string): string => `http://localhost:${forward.port}${path}`;

test("method, path, token and body arrive as they were sent, and the answer comes back with its status", async () => {
	const reply = await fetch(at("/v3/endpoints?role=any"), {
		method: "POST",
		headers: { authorization: "Bearer token", "content-type": "application/json" },
		body: '{"a":1}',
	});
	expect(reply.status).toBe(422);
	expect(reply.headers.get("x-served")).toBe("yes");
	expect(await reply.json()).toMatchObject({
		method: "POST",
		url: "/v3/endpoints?role=any",
		body: '{"a":1}',
		headers: { authorization: "Bearer token", host: new URL(cloudUrl).host },
	});
});

/** As a program with `http_proxy` asks: the whole address, whatever this machine's name for it. */
function askAsProxy(url: string): Promise<number | undefined> {
	return new Promise((resolve, reject) => {
		request({ host: "127.0.0.1", port: forward.port, path: url }, (reply) => {
			reply.resume();
			resolve(reply.statusCode);
		})
			.on("error", reject)
			.end();
	});
}

test("as a proxy it leads to this cloud and to nowhere else", async () => {
	expect(await askAsProxy("http://localhost:5000/v2/version?service=all")).toBe(200);
	expect(await askAsProxy(`${cloudUrl}/v2/version`)).toBe(200);
	expect(await askAsProxy("http://elsewhere.example/v2/version")).toBe(404);
	expect(await askAsProxy("http://localhost:5000/device")).toBe(404);
	expect(await askAsProxy("http://localhost:5000/v2/../device")).toBe(404);
});

test("a cloud that does not answer is an error with which to come again, and is said to the person", async () => {
	cloud.closeAllConnections();
	await new Promise((resolve) => cloud.close(resolve));
	const reply = await fetch(at("/v2/version"));
	expect(reply.status).toBe(503);
	expect(reply.headers.get("retry-after")).toBe("5");
	expect(await reply.json()).toMatchObject({ status: "Failed", code: "NOT_READY" });
	expect(trouble.join()).toContain("ECONNREFUSED");
});

test("a port that somebody else has is an error", async () => {
	await expect(openForward({ cloudUrl, port: forward.port })).rejects.toMatchObject({ code: "EADDRINUSE" });
});

test("who answers at an address is told apart: this cloud, another, another program, nobody", async () => {
	expect(await whoAnswersAt(at(""), "https://e.example")).toBe("this cloud");
	expect(await whoAnswersAt(at(""), "https://f.example")).toBe("another cloud");
	expect(await whoAnswersAt(at("/v2"), "https://e.example")).toBe("another program");
	const { port } = forward;
	await forward[Symbol.asyncDispose]();
	expect(await whoAnswersAt(`http://localhost:${port}`, "https://e.example")).toBe("nobody");
});
