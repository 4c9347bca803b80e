/** Where managers look for the daemon: every address of this machine that a compute node might reach, the likely ones first. */
import type { NetworkInterfaceInfo } from "node:os";
import type { EndpointConfig } from "../config/config.ts";

/** Bridges of containers and virtual machines: no compute node comes in there. */
const unlikely = /^(docker|br-|virbr|veth|cni|flannel|podman|lxc|tun|tap)/;
/** Links that only work between neighbours who name their interface. */
const linkLocal = /^(fe80:|169\.254\.)/i;

/**
 * A list of `host:port`, separated by commas, as managers read it.
 *
 * @param interfaces as `os.networkInterfaces()` tells of them
 */
export function linkAddresses(
	config: Pick<EndpointConfig, "linkAddresses" | "linkHost" | "scheduler">,
	port: number,
	hostname: string,
	interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>,
): string {
	if (config.linkAddresses.length > 0)
		return config.linkAddresses.map((address) => (hasPort(address) ? address : at(address, port))).join(",");
	const isEverywhere = config.linkHost === "0.0.0.0" || config.linkHost === "::";
	if (!isEverywhere) return at(config.linkHost, port);
	if (config.scheduler === "local") return at("127.0.0.1", port);
	const found = Object.entries(interfaces).flatMap(([name, addresses = []]) =>
		addresses
			.filter(({ internal, address, family }) => {
				const heard = family === "IPv4" || config.linkHost === "::";
				return !internal && heard && !linkLocal.test(address);
			})
			.map(({ address }) => ({ address, rank: unlikely.test(name) ? 1 : 0 })),
	);
	found.sort((a, b) => a.rank - b.rank);
	const hosts = [...found.filter(({ rank }) => rank === 0).map(({ address }) => address), hostname];
	hosts.push(...found.filter(({ rank }) => rank > 0).map(({ address }) => address), "127.0.0.1");
	return [...new Set(hosts)].map((host) => at(host, port)).join(",");
}

const at = (host: string, port: number): string =>
	host.includes(":") && !host.startsWith("[") ? `[${host}]:${port}` : `${host}:${port}`;

/** "host:9000" or "[::1]:9000"; a bare IPv6 address has more than one colon and no brackets. */
const hasPort = (address: string): boolean => /^(\[[^\]]+\]|[^:]+):\d+$/.test(address);
