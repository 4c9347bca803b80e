import type { IncomingMessage } from "node:http";
import { expect, test } from "vitest";
import { clientAddressReader } from "./client-address.ts";

const from = (remoteAddress: string, headers: Record<string, string> = {}): IncomingMessage =>
	({ socket: { remoteAddress }, headers }) as unknown as IncomingMessage;

test.each([
	["the peer itself", [], "203.0.113.9", {}, "203.0.113.9", false],
	["this machine", [], "127.0.0.1", {}, "127.0.0.1", true],
	["this machine by IPv6, and as IPv4 in IPv6", [], "::ffff:127.0.0.1", {}, "127.0.0.1", true],
	[
		"a peer that claims to forward, which nobody believes",
		[],
		"203.0.113.9",
		{ "x-forwarded-for": "127.0.0.1" },
		"203.0.113.9",
		false,
	],
	[
		"an unknown proxy on this machine: not loopback",
		[],
		"127.0.0.1",
		{ "x-forwarded-for": "203.0.113.9" },
		"127.0.0.1",
		false,
	],
	["a known proxy's client", ["127.0.0.1"], "127.0.0.1", { "x-forwarded-for": "203.0.113.9" }, "203.0.113.9", false],
	[
		"only what known proxies wrote",
		["10.0.0.0/8"],
		"10.0.0.1",
		{ "x-forwarded-for": "1.1.1.1, 203.0.113.9, 10.0.0.2" },
		"203.0.113.9",
		false,
	],
	[
		"a forged loopback behind a known proxy: not loopback",
		["10.0.0.1"],
		"10.0.0.1",
		{ "x-forwarded-for": "127.0.0.1" },
		"127.0.0.1",
		false,
	],
	["no nonsense", ["10.0.0.1"], "10.0.0.1", { "x-forwarded-for": "evil, <script>" }, "10.0.0.1", false],
	["IPv6 ranges", ["fd00::/8"], "fd00::1", { "x-forwarded-for": "2001:db8::7" }, "2001:db8::7", false],
] as const)("it is %s", (_name, trusted, peer, headers, address, loopback) => {
	expect(clientAddressReader(trusted).read(from(peer, headers))).toEqual({ address, loopback });
});
