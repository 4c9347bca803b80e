/** How each kind of worker is started. In development the sources run directly; in a package the bundles lie side by side. */
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import type { WorkerRuntime } from "./held-task.ts";

const besideMe = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

const bundled = existsSync(besideMe("worker.mjs"));

const nodeWorker = besideMe(bundled ? "worker.mjs" : "../worker/main.ts");
const pythonWorker = besideMe(bundled ? "worker.py" : "../worker/python/worker.py");

/** Bound whole they would hide what an image has there. */
const systemFolders = ["/usr/bin", "/usr/local/bin", "/bin"];
const nodeFolder = dirname(process.execPath);
/** Not every program binds single files. */
const nodePlace = systemFolders.includes(nodeFolder) ? process.execPath : nodeFolder;

/** What a container must see for a worker to start in it. */
export const workerPlaces: { readonly [R in WorkerRuntime]: readonly string[] } = {
	python: [dirname(pythonWorker)],
	// The sources are TypeScript, and import from all over the clone.
	node: [nodePlace, ...(bundled ? [dirname(nodeWorker)] : [besideMe("../../..")])],
};

/** @param python a path or a name on the PATH; in a container always the image's `python3` */
export function workerCommand(runtime: WorkerRuntime, python: string): readonly [string, ...string[]] {
	return runtime === "node"
		? [process.execPath, "--disable-warning=ExperimentalWarning", nodeWorker]
		: [python, "-X", "utf8", pythonWorker];
}
