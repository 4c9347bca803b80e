#!/usr/bin/env node
/**
 * `errand` from a clone, by any Node ≥ 18: this Node when it reads TypeScript, else the one that the clone has
 * installed. Plain JavaScript, because an old Node reads it.
 */
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

if (process.features.typescript) await import("./main.ts");
else process.exitCode = await handOver();

/** Resolves to the exit status. */
function handOver() {
	let node;
	try {
		node = createRequire(import.meta.url).resolve(`node-${process.platform}-${process.arch}/bin/node`);
	} catch {
		process.stderr.write(
			`errand: this is Node ${process.versions.node}, which is too old, and no newer one is installed beside it\n` +
				`  next: npm ci, or use Node 24 or newer\n`,
		);
		return 70;
	}
	const main = fileURLToPath(new URL("main.ts", import.meta.url));
	const child = spawn(node, ["--disable-warning=ExperimentalWarning", main, ...process.argv.slice(2)], {
		stdio: "inherit",
	});
	// Ctrl-C reaches the child by the terminal; other signals are passed on.
	process.on("SIGINT", () => undefined);
	for (const name of ["SIGTERM", "SIGHUP"]) process.on(name, () => child.kill(name));
	return new Promise((resolve) => {
		child.on("error", () => resolve(70));
		child.on("exit", (code, signal) => resolve(code ?? (signal === "SIGINT" ? 130 : 143)));
	});
}
