import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { WebSocketServer } from "ws";
import { CaptureError } from "../errors.ts";
import { platform } from "./browser.ts";

test("a browser's stream is opened with its token as a subprotocol", async () => {
	const offered: string[][] = [];
	const server = new WebSocketServer({
		host: "127.0.0.1",
		port: 0,
		handleProtocols: (protocols) => {
			offered.push([...protocols]);
			return "errand.v1";
		},
	});
	server.on("connection", (socket) => socket.on("message", (data) => socket.send(`echo ${data}`)));
	await once(server, "listening");
	const { port } = server.address() as AddressInfo;
	const heard: unknown[] = [];
	const closed = Promise.withResolvers<void>();
	const socket = platform.openSocket(`ws://127.0.0.1:${port}`, "abc.def", {
		onOpen: () => {
			heard.push("open");
			socket.send("hello");
		},
		onText: (text) => {
			heard.push(text);
			socket.close();
		},
		onClose: () => closed.resolve(),
	});
	await closed.promise;
	expect(heard).toEqual(["open", "echo hello"]);
	expect(offered).toEqual([["errand.v1", "bearer.abc.def"]]);
	await new Promise((resolve) => server.close(resolve));
});

test("what needs files or a login says so in a browser", async () => {
	await expect(platform.readSource("a.py")).rejects.toBeInstanceOf(CaptureError);
	await expect(platform.bundle({ file: "a.ts", name: "f" })).rejects.toThrow(/file system/);
	expect(() => platform.storedTokens(undefined)).toThrow(/a token must be given/);
	await expect(platform.logout()).rejects.toThrow(/stores no logins/);
	expect(() => platform.stripTypes("(a: number) => a")).toThrow(/compile it first/);
});
