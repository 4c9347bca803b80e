import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { createServer, type Server } from "node:https";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import type { Duplex } from "node:stream";

/** Files in PEM. */
export interface SiteCertificate {
	readonly authority: string;
	readonly certificate: string;
	readonly key: string;
}

/** A private authority and a certificate of it for `localhost` and 127.0.0.1, in `directory`. */
export function makeSiteCertificate(directory: string): SiteCertificate {
	const file = (name: string): string => join(directory, name);
	const openssl = (...words: string[]): void => void execFileSync("openssl", words, { stdio: "ignore" });
	const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
	openssl(
		"req",
		"-x509",
		...newKey,
		"-days",
		"2",
		"-subj",
		"/CN=Site CA",
		"-keyout",
		file("ca.key"),
		"-out",
		file("ca.pem"),
	);
	openssl("req", ...newKey, "-subj", "/CN=localhost", "-keyout", file("site.key"), "-out", file("site.csr"));
	writeFileSync(file("site.ext"), "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n");
	const authority = ["-CA", file("ca.pem"), "-CAkey", file("ca.key"), "-CAcreateserial"];
	openssl(
		"x509",
		"-req",
		"-in",
		file("site.csr"),
		...authority,
		"-days",
		"2",
		"-extfile",
		file("site.ext"),
		"-out",
		file("site.pem"),
	);
	return { authority: file("ca.pem"), certificate: file("site.pem"), key: file("site.key") };
}

/** What stands before a cloud in production: TLS outside, plain HTTP and WebSocket inside. */
export class TlsProxy {
	readonly url: string;
	readonly #server: Server;
	readonly #sockets = new Set<Duplex>();
	#target = 0;

	private constructor(server: Server) {
		this.#server = server;
		this.url = `https://localhost:${(server.address() as AddressInfo).port}`;
	}

	/** `from`: the address that it speaks to the cloud from, so that the cloud can tell it from others. */
	static async open(site: SiteCertificate, from: string): Promise<TlsProxy> {
		const server = createServer({ cert: readFileSync(site.certificate), key: readFileSync(site.key) });
		await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
		const proxy = new TlsProxy(server);
		const headersFor = (headers: NodeJS.Dict<string | string[]>, peer: string) => ({
			...headers,
			"x-forwarded-proto": "https",
			"x-forwarded-for": [headers["x-forwarded-for"], peer].flat().filter(Boolean).join(", "),
		});
		server.on("request", (incoming, reply) => {
			const outgoing = request({
				host: "127.0.0.1",
				port: proxy.#target,
				localAddress: from,
				method: incoming.method,
				path: incoming.url,
				headers: headersFor(incoming.headers, incoming.socket.remoteAddress ?? ""),
			});
			outgoing.on("response", (answer) => {
				reply.writeHead(answer.statusCode ?? 502, answer.headers);
				answer.pipe(reply);
			});
			outgoing.on("error", () => (reply.headersSent ? reply.destroy() : reply.writeHead(502).end()));
			incoming.pipe(outgoing);
		});
		server.on("upgrade", (incoming, client, head: Buffer) => {
			const cloud = connect({ host: "127.0.0.1", port: proxy.#target, localAddress: from }, () => {
				const headers = headersFor(incoming.headers, incoming.socket.remoteAddress ?? "");
				const lines = Object.entries(headers).map(([name, value]) => `${name}: ${[value].flat().join(", ")}`);
				cloud.write(`${incoming.method} ${incoming.url} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
				cloud.write(head);
				cloud.pipe(client).pipe(cloud);
			});
			cloud.on("error", () => client.destroy()).on("close", () => client.destroy());
			client.on("error", () => cloud.destroy()).on("close", () => cloud.destroy());
		});
		server.on("connection", (socket) => {
			proxy.#sockets.add(socket);
			socket.once("close", () => proxy.#sockets.delete(socket));
		});
		return proxy;
	}

	/** The cloud's port on this machine. */
	forwardTo(port: number): void {
		this.#target = port;
	}

	async close(): Promise<void> {
		const closed = new Promise((resolve) => this.#server.close(resolve));
		for (const socket of this.#sockets) socket.destroy();
		await closed;
	}
}
