/** Nodes of a cluster as hosts of their own on one switch, so that a cable can be pulled. Needs root. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface NodeNetwork {
	/** This machine's, as the nodes see it. */
	readonly address: string;
	addressOf(node: string): string;
	/** The words that run a program on the node; its process is that program. */
	on(node: string, words: readonly string[]): string[];
	unplug(node: string): void;
	plug(node: string): void;
	/** Its processes must be gone. */
	close(): void;
}

const ip = (...words: string[]): void => void execFileSync("ip", words, { stdio: ["ignore", "ignore", "pipe"] });

/** `tag`: four hexadecimal digits; names of interfaces and addresses come from it. */
export function openNodeNetwork(tag: string, nodes: readonly string[]): NodeNetwork {
	const subnet = `10.${Number.parseInt(tag.slice(0, 2), 16)}.${Number.parseInt(tag.slice(2), 16)}`;
	const address = `${subnet}.254`;
	const bridge = `er${tag}br`;
	const directory = mkdtempSync(join(tmpdir(), "errand-hosts-"));
	const hosts = join(directory, "hosts");
	const addressOf = (node: string): string => `${subnet}.${nodes.indexOf(node) + 1}`;
	const port = (node: string): string => `er${tag}p${nodes.indexOf(node) + 1}`;
	writeFileSync(hosts, ["127.0.0.1 localhost", ...nodes.map((node) => `${addressOf(node)} ${node}`), ""].join("\n"));
	const close = (): void => {
		for (const node of nodes) spawnSync("ip", ["netns", "del", node]);
		spawnSync("ip", ["link", "del", bridge]);
		rmSync(directory, { recursive: true, force: true });
	};
	try {
		ip("link", "add", bridge, "type", "bridge", "forward_delay", "0");
		ip("addr", "add", `${address}/24`, "dev", bridge);
		ip("link", "set", bridge, "up");
		for (const node of nodes) {
			ip("netns", "add", node);
			ip("link", "add", port(node), "type", "veth", "peer", "name", "eth0", "netns", node);
			ip("-n", node, "addr", "add", `${addressOf(node)}/24`, "dev", "eth0");
			ip("-n", node, "link", "set", "lo", "up");
			ip("-n", node, "link", "set", "eth0", "up");
			ip("link", "set", port(node), "master", bridge);
			ip("link", "set", port(node), "up");
		}
	} catch (error) {
		close();
		throw error;
	}
	// Not `ip netns exec`, which mounts /sys anew and hides the control groups.
	const enter = 'mount --bind "$1" /etc/hosts && hostname "$2" && shift 2 && exec "$@"';
	return {
		address,
		addressOf,
		on: (node, words) => [
			"nsenter",
			`--net=/run/netns/${node}`,
			"unshare",
			"--uts",
			"--mount",
			"sh",
			"-c",
			enter,
			"sh",
			hosts,
			node,
			...words,
		],
		unplug: (node) => ip("link", "set", port(node), "down"),
		plug: (node) => ip("link", "set", port(node), "up"),
		close,
	};
}
