import type { NetworkInterfaceInfo } from "node:os";
import { expect, test } from "vitest";
import { parseConfig } from "../config/config.ts";
import { linkAddresses } from "./link-addresses.ts";

const address = (text: string, internal = false): NetworkInterfaceInfo =>
	({
		address: text,
		internal,
		family: text.includes(":") ? "IPv6" : "IPv4",
		netmask: "",
		mac: "",
		cidr: null,
		scopeid: 0,
	}) as NetworkInterfaceInfo;

const interfaces = {
	lo: [address("127.0.0.1", true), address("::1", true)],
	docker0: [address("172.17.0.1")],
	hsn0: [address("10.9.0.4"), address("fe80::1"), address("2001:db8::4")],
	eth0: [address("192.0.2.7"), address("169.254.3.3")],
};
const addresses = (config: string): string =>
	linkAddresses(parseConfig(config, "config.yaml", "/e"), 7000, "login1.example.org", interfaces);

test("nodes of a batch system try every address of this machine, the loopback last", () => {
	expect(addresses("scheduler: slurm").split(",")).toEqual([
		"10.9.0.4:7000",
		"192.0.2.7:7000",
		"login1.example.org:7000",
		"172.17.0.1:7000",
		"127.0.0.1:7000",
	]);
	expect(addresses("scheduler: slurm\nlink_host: '::'")).toContain("[2001:db8::4]:7000");
});

test("what the configuration says is tried alone, and in its order", () => {
	expect(addresses("scheduler: slurm\nlink_addresses: [gateway:443, 10.1.1.1, 'fd00::1']")).toBe(
		"gateway:443,10.1.1.1:7000,[fd00::1]:7000",
	);
	expect(addresses("scheduler: slurm\nlink_host: 10.9.0.4")).toBe("10.9.0.4:7000");
	expect(addresses("")).toBe("127.0.0.1:7000");
});
