import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

/** What stands before several clouds: each connection goes to the first of them that takes it. */
export class Balancer {
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();
	readonly port: number;
	/** Of the clouds, in order of preference. */
	targets: readonly number[] = [];

	private constructor(server: Server, port: number) {
		this.#server = server;
		this.port = port;
	}

	static async open(): Promise<Balancer> {
		const server = createServer();
		server.listen(0, "127.0.0.1");
		await once(server, "listening");
		const address = server.address();
		if (address === null || typeof address === "string") throw new Error("no port");
		const balancer = new Balancer(server, address.port);
		server.on("connection", (near) => void balancer.#join(near));
		return balancer;
	}

	get url(): string {
		return `http://127.0.0.1:${this.port}`;
	}

	async #join(near: Socket): Promise<void> {
		this.#keep(near);
		for (const port of this.targets) {
			const far = connect(port, "127.0.0.1");
			this.#keep(far);
			const joined = await once(far, "connect").then(
				() => true,
				() => false,
			);
			if (!joined) continue;
			far.setNoDelay(true);
			near.pipe(far).pipe(near);
			near.on("close", () => far.destroy());
			far.on("close", () => near.destroy());
			return;
		}
		near.destroy();
	}

	#keep(socket: Socket): void {
		this.#sockets.add(socket);
		socket.setNoDelay(true);
		socket.on("error", () => undefined);
		socket.on("close", () => this.#sockets.delete(socket));
	}

	async close(): Promise<void> {
		for (const socket of this.#sockets) socket.destroy();
		await new Promise((resolve) => this.#server.close(resolve));
	}
}
