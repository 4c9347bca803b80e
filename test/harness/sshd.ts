/** A private SSH server on a random port of the loopback, and what a client needs to come in; all gone afterwards. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { ensureDebianPackages } from "./debian.ts";
import { randomPort } from "./ports.ts";

export interface TestSshd {
	/** For `ssh -F`: every name of a host is this server, but "gone", where nobody listens. */
	readonly clientConfig: string;
	/** Nobody listens until {@link listen}. Sessions that are open go on. */
	close(): Promise<void>;
	listen(): Promise<void>;
	/** Where blocks of scheduler `ssh` are on the far side, which is this machine. */
	readonly blocks: string;
	/** Removes what an endpoint, by its mark, has left there. */
	forget(endpoint: string): void;
	stop(): Promise<void>;
}

const program = "/usr/sbin/sshd";
/** Where Debian's sshd puts its unprivileged half. */
const emptyDirectory = "/run/sshd";
const listenLimitMs = 20_000;

/** Throws when there is no sshd and it cannot be installed. */
export async function startSshd(): Promise<TestSshd> {
	await ensureDebianPackages(["openssh-server", "openssh-client"]);
	const directory = await mkdtemp(join(tmpdir(), "errand-sshd-"));
	const ownEmpty = process.getuid?.() === 0 && !existsSync(emptyDirectory);
	if (ownEmpty) await mkdir(emptyDirectory, { mode: 0o755 });
	const at = (name: string): string => join(directory, name);
	const port = await randomPort();
	for (const name of ["host", "user"])
		await promisify(execFile)("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", at(name)]);
	await writeFile(at("authorized"), await readFile(at("user.pub")), { mode: 0o600 });
	await writeFile(at("known"), `server ${await readFile(at("host.pub"), "utf8")}`);
	await writeFile(
		at("sshd_config"),
		[
			"ListenAddress 127.0.0.1",
			`Port ${port}`,
			`HostKey ${at("host")}`,
			`AuthorizedKeysFile ${at("authorized")}`,
			"PidFile none",
			"StrictModes no",
			"UsePAM no",
			"PasswordAuthentication no",
			"KbdInteractiveAuthentication no",
			"PermitRootLogin prohibit-password",
			"MaxStartups 100",
			"Subsystem sftp internal-sftp",
			"KexAlgorithms curve25519-sha256", // the cheapest: tests connect often
			"",
		].join("\n"),
	);
	const clientConfig = [
		"Host gone",
		"	Port 1",
		"Host *",
		"	HostName 127.0.0.1",
		`	Port ${port}`,
		`	User ${userInfo().username}`,
		`	IdentityFile ${at("user")}`,
		"	IdentitiesOnly yes",
		`	UserKnownHostsFile ${at("known")}`,
		"	GlobalKnownHostsFile none",
		"	StrictHostKeyChecking yes",
		"	HostKeyAlias server",
		"",
	].join("\n");
	let server: ChildProcess | undefined;

	const blocks = `/tmp/errand-${userInfo().uid}`;
	const sshd: TestSshd = {
		clientConfig,
		blocks,
		forget(endpoint) {
			rmSync(join(blocks, endpoint), { recursive: true, force: true });
			if (existsSync(blocks) && readdirSync(blocks).length === 0) rmdirSync(blocks);
		},
		async close() {
			if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
			server.kill("SIGTERM");
			await once(server, "exit");
		},
		async listen() {
			server = spawn(program, ["-D", "-e", "-f", at("sshd_config")], { stdio: ["ignore", "ignore", "pipe"] });
			let says = "";
			server.stderr?.on("data", (chunk) => {
				says += String(chunk);
			});
			const untilMs = Date.now() + listenLimitMs;
			while (!(await answers(port))) {
				if (server.exitCode !== null || Date.now() > untilMs) throw new Error(`sshd did not start: ${says}`);
				await delay(50);
			}
		},
		async stop() {
			await sshd.close();
			await rm(directory, { recursive: true, force: true });
			if (ownEmpty) await rm(emptyDirectory, { recursive: true, force: true });
		},
	};
	await sshd.listen();
	return sshd;
}

function answers(port: number): Promise<boolean> {
	return new Promise((resolve) => {
		const socket = connect(port, "127.0.0.1");
		socket.once("connect", () => resolve(true));
		socket.once("error", () => resolve(false));
		socket.once("close", () => socket.destroy());
		socket.once("connect", () => socket.destroy());
	});
}
