import type { IncomingMessage } from "node:http";
import { BlockList, isIP } from "node:net";

/** Where a request comes from. */
export interface ClientAddress {
	/** The address of the client as far as it can be believed. */
	readonly address: string;
	/** It comes from this machine itself, and no proxy that we do not know stands between. */
	readonly loopback: boolean;
}

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

const family = (address: string): "ipv4" | "ipv6" => (isIP(address) === 6 ? "ipv6" : "ipv4");
const plain = (address: string): string => (address.startsWith("::ffff:") ? address.slice(7) : address);

/**
 * Tells where requests come from: the socket's peer, or what X-Forwarded-For says when the peer is one of `trusted`
 * (addresses and ranges). The list is read from the right, because only its right end was written by proxies we know.
 */
export function clientAddressReader(trusted: readonly string[]): {
	read(request: IncomingMessage): ClientAddress;
	isTrusted(address: string): boolean;
} {
	const proxies = new BlockList();
	for (const range of trusted) {
		const [address = "", bits] = range.split("/");
		if (bits === undefined) proxies.addAddress(address, family(address));
		else proxies.addSubnet(address, Number(bits), family(address));
	}
	const isTrusted = (address: string): boolean =>
		trusted.length > 0 && isIP(address) !== 0 && proxies.check(address, family(address));

	return {
		isTrusted,
		read(request) {
			let address = plain(request.socket.remoteAddress ?? "");
			const header = request.headers["x-forwarded-for"];
			if (header === undefined && request.headers.forwarded === undefined) {
				return { address, loopback: isIP(address) !== 0 && loopback.check(address, family(address)) };
			}
			const hops = (typeof header === "string" ? header : (header ?? []).join(","))
				.split(",")
				.map((hop) => plain(hop.trim()));
			while (isTrusted(address) && hops.length > 0) {
				const hop = hops.pop() as string;
				if (isIP(hop) === 0) break;
				address = hop;
			}
			return { address, loopback: false };
		},
	};
}
