/** Which of the daemon's addresses can be reached from this node: login nodes have many, and few lead there. */
import { connect } from "node:net";

export interface Probe {
	readonly address: string;
	/** Why it cannot be reached; undefined when it can. */
	readonly failure: string | undefined;
}

/** Asks all at once; resolves when each has answered or `limitMs` is over. */
export function probeAddresses(addresses: readonly string[], limitMs: number): Promise<Probe[]> {
	return Promise.all(addresses.map((address) => probe(address, limitMs)));
}

function probe(address: string, limitMs: number): Promise<Probe> {
	const at = address.lastIndexOf(":");
	const host = address.slice(0, at).replace(/^\[(.*)\]$/, "$1");
	return new Promise((resolve) => {
		const socket = connect({ host, port: Number(address.slice(at + 1)), timeout: limitMs });
		const end = (failure: string | undefined): void => {
			socket.destroy();
			resolve({ address, failure });
		};
		socket.once("connect", () => end(undefined));
		socket.once("timeout", () => end(`no answer within ${limitMs / 1000} s; a firewall, or another network`));
		socket.once("error", (error) => end(error.message));
	});
}
