import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";

/** While it is there, Debian's packages do not start their services; tests start what they need themselves. */
const policyFile = "/usr/sbin/policy-rc.d";
/** The lock of the lists of packages cannot be waited for otherwise. */
const lockRetryMs = 1_000;
const lockTries = 300;

async function run(command: string, args: readonly string[]): Promise<{ code: number; output: string }> {
	const child = spawn(command, args, {
		stdio: ["ignore", "pipe", "pipe"],
		env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
	});
	let output = "";
	child.stdout.on("data", (chunk) => {
		output += String(chunk);
	});
	child.stderr.on("data", (chunk) => {
		output += String(chunk);
	});
	const [code] = (await once(child, "close")) as [number | null];
	return { code: code ?? 1, output };
}

async function isInstalled(name: string): Promise<boolean> {
	const { code, output } = await run("dpkg-query", ["--status", name]);
	return code === 0 && /^Status: install ok installed$/m.test(output);
}

/** Another suite may be installing too: it is waited for. */
async function apt(words: readonly string[]): Promise<{ code: number; output: string }> {
	for (let tries = 0; ; tries++) {
		const result = await run("apt-get", ["-o", "DPkg::Lock::Timeout=300", ...words]);
		if (result.code === 0 || tries === lockTries || !/could not get lock/i.test(result.output)) return result;
		await delay(lockRetryMs);
	}
}

/**
 * Installs what is missing, as root, without starting any service. Throws when it cannot: a suite that needs the packages
 * and does not have them has failed.
 */
export async function ensureDebianPackages(names: readonly string[]): Promise<void> {
	const missing: string[] = [];
	for (const name of names) if (!(await isInstalled(name))) missing.push(name);
	if (missing.length === 0) return;
	if (process.getuid?.() !== 0)
		throw new Error(
			`these tests need the Debian packages ${missing.join(" ")}; run: sudo apt-get install ${missing.join(" ")}`,
		);
	const ownPolicy = !existsSync(policyFile);
	if (ownPolicy) await writeFile(policyFile, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
	try {
		const install = (): ReturnType<typeof run> => apt(["install", "--yes", "--no-install-recommends", ...missing]);
		let result = await install();
		if (result.code !== 0) {
			await apt(["update"]);
			result = await install();
		}
		if (result.code !== 0)
			throw new Error(`apt-get could not install ${missing.join(" ")}: ${result.output.slice(-2000)}`);
	} finally {
		if (ownPolicy) await rm(policyFile, { force: true });
	}
}
