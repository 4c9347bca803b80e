/** The end that is read, waiting at the relay: always a few connections that the other end may be joined with. */
import type { Socket } from "node:net";
import type { Logger } from "../service/logger.ts";
import { BackOff, pause } from "../uplink/back-off.ts";
import { dialRelay } from "./relay-dial.ts";

const firstWaitMs = 200;
const longestWaitMs = 15_000;

export interface RelayLineOptions {
	readonly cloudUrl: string;
	readonly transferId: string;
	/** As it is now. */
	readonly token: () => string;
	readonly connections: number;
	/** Gets each connection. */
	readonly take: (socket: Socket) => void;
	readonly log: Logger;
}

/** Dials until it is closed; a connection that ended is dialled again. */
export function openRelayLine({ cloudUrl, transferId, token, connections, take, log }: RelayLineOptions): {
	close(): void;
} {
	const ending = new AbortController();
	const { signal } = ending;
	const sockets = new Set<Socket>();

	async function keep(): Promise<void> {
		const backOff = new BackOff(firstWaitMs, longestWaitMs);
		for (;;) {
			try {
				const socket = await dialRelay({ cloudUrl, transferId, side: "source", token: token(), signal });
				sockets.add(socket);
				const beganMs = performance.now();
				const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
				socket.on("error", () => undefined);
				take(socket);
				await closed;
				sockets.delete(socket);
				// One that lasted was of use, or waited as long as the relay lets it.
				if (performance.now() - beganMs > longestWaitMs) backOff.reset();
			} catch (error) {
				signal.throwIfAborted();
				log.warn(
					{ transfer: transferId, reason: (error as Error).message },
					"transfer: no relay, waiting to dial again",
				);
			}
			await pause(backOff.nextMs(), signal);
		}
	}

	for (let line = 0; line < connections; line++) keep().catch(() => undefined);
	return {
		close() {
			ending.abort(new Error("the transfer is over"));
			for (const socket of sockets) socket.destroy();
		},
	};
}
