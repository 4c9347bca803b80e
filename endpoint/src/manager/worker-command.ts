/** How each kind of worker is started. In development the sources run directly; in a package the bundles lie side by side. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { WorkerKind } from "./held-task.ts";

const besideMe = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

const bundled = existsSync(besideMe("worker.mjs"));

const nodeWorker = besideMe(bundled ? "worker.mjs" : "../worker/main.ts");
const pythonWorker = besideMe(bundled ? "worker.py" : "../worker/python/worker.py");

export function workerCommand(kind: WorkerKind, python: string): readonly [string, ...string[]] {
	return kind === "node"
		? [process.execPath, "--disable-warning=ExperimentalWarning", nodeWorker]
		: [python, "-X", "utf8", pythonWorker];
}
