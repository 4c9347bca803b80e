import { connect, createServer, type Server, type Socket } from "node:net";

/**
 * A network cable on loopback: what connects to `port` reaches `target`, until it is cut. A cut is silent: bytes stop,
 * nobody is told, and new connections hang, as when a route is gone.
 */
export class Cable {
	readonly #server: Server;
	readonly #pairs = new Set<[Socket, Socket]>();
	#cut = false;
	readonly port: number;

	private constructor(server: Server, port: number) {
		this.#server = server;
		this.port = port;
	}

	static async lay(targetPort: number): Promise<Cable> {
		const server = createServer({ allowHalfOpen: false });
		await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
		const address = server.address();
		if (address === null || typeof address === "string") throw new Error("no port");
		const cable = new Cable(server, address.port);
		server.on("connection", (near) => cable.#join(near, targetPort));
		return cable;
	}

	#join(near: Socket, targetPort: number): void {
		const far = connect(targetPort, "127.0.0.1");
		const pair: [Socket, Socket] = [near, far];
		this.#pairs.add(pair);
		near.setNoDelay(true);
		far.setNoDelay(true);
		for (const [from, to] of [pair, [far, near]] as const) {
			from.on("data", (chunk) => {
				if (!to.write(chunk)) {
					from.pause();
					to.once("drain", () => !this.#cut && from.resume());
				}
			});
			from.on("error", () => undefined);
			from.on("close", () => {
				this.#pairs.delete(pair);
				if (!this.#cut) to.destroy();
			});
		}
		if (this.#cut) for (const socket of pair) socket.pause();
	}

	cut(): void {
		this.#cut = true;
		for (const pair of this.#pairs) for (const socket of pair) socket.pause();
	}

	/** As when the route is back: old connections whose ends have given up are reset, the others go on. */
	mend(): void {
		this.#cut = false;
		for (const pair of this.#pairs) {
			const gone = pair.some((socket) => socket.destroyed);
			for (const socket of pair) gone ? socket.destroy() : socket.resume();
		}
	}

	async remove(): Promise<void> {
		for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
		await new Promise((resolve) => this.#server.close(resolve));
	}
}
