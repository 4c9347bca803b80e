import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { probeAddresses } from "./probe.ts";
import { ScriptedDaemon } from "./scripted-daemon.ts";
import { selfSigned } from "./self-signed.ts";

async function closedPort(): Promise<number> {
	const server: Server = createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	const { port } = server.address() as { port: number };
	server.close();
	await once(server, "close");
	return port;
}

test("each address is asked, and why one cannot be reached is said", async () => {
	const port = await closedPort();
	const server = createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	const open = (server.address() as { port: number }).port;
	const probes = await probeAddresses([`127.0.0.1:${port}`, `127.0.0.1:${open}`, "no-such-host.invalid:1"], 2000);
	expect(probes.map(({ failure }) => failure)).toEqual([
		expect.stringContaining("ECONNREFUSED"),
		undefined,
		expect.stringMatching(/no-such-host\.invalid|no answer/),
	]);
	server.close();
});

test("a manager goes past the addresses that lead nowhere", async () => {
	const port = await closedPort();
	const daemon = await new ScriptedDaemon({ addressesBefore: [`127.0.0.1:${port}`] }).open();
	try {
		expect(daemon.managerLog).toContain(`"address":"127.0.0.1:${port}"`);
	} finally {
		await daemon.close();
	}
});

test("one that reaches no daemon says in its last line which addresses it tried and why each failed, and fails", async () => {
	const [one, other] = [await closedPort(), await closedPort()];
	const directory = mkdtempSync(join(tmpdir(), "errand-unreached-"));
	const manager = spawn(process.execPath, [fileURLToPath(new URL("main.ts", import.meta.url))], {
		stdio: ["ignore", "pipe", "inherit"],
		env: {
			PATH: process.env.PATH,
			ERRAND_LINK_ADDRESS: `127.0.0.1:${one},127.0.0.1:${other}`,
			ERRAND_LINK_CERTIFICATE: Buffer.from(selfSigned("errand-endpoint").certificate).toString("base64"),
			ERRAND_BLOCK_TOKEN: "token",
			ERRAND_BLOCK_ID: "b1",
			ERRAND_MANAGER_DIRECTORY: directory,
			ERRAND_MANAGER_OPTIONS: JSON.stringify({ cores: 1, orphanLimitMs: 300 }),
		},
	});
	let output = "";
	manager.stdout.on("data", (data) => (output += data));
	try {
		expect(await once(manager, "close")).toEqual([69, null]);
		const last = JSON.parse(output.trim().split("\n").at(-1) ?? "") as { level: number; msg: string };
		expect(last.level).toBe(50);
		for (const port of [one, other])
			expect(last.msg).toMatch(new RegExp(`127\\.0\\.0\\.1:${port} \\([^)]*ECONNREFUSED`));
	} finally {
		rmSync(directory, { recursive: true, force: true });
	}
});
