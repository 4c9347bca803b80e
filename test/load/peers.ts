/** What others do with the same work on the same machine, in the same run: figures of two days are not comparable. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { pythonEnvironment } from "../harness/python.ts";
import type { Latency } from "./figures.ts";

const run = promisify(execFile);

/** Client, interchange, manager and workers on one machine: no cloud, no login, nothing is kept on disk. */
const parslPackage = "parsl==2026.4.20";
const program = fileURLToPath(new URL("./parsl_no_op.py", import.meta.url));
const timeLimitMs = 600_000;

export interface PeerFigures {
	readonly version: string;
	readonly firstResultMs: number;
	readonly pythonTasksPerS: number;
	readonly pythonRoundsTasksPerS: readonly number[];
	readonly latencyMs: Latency;
}

/** Resolves to a sentence when it cannot be had or does not run here. */
export async function measureParsl(): Promise<PeerFigures | string> {
	const directory = await mkdtemp(join(tmpdir(), "errand-parsl-"));
	try {
		const environment = await pythonEnvironment([parslPackage]);
		try {
			const { python } = environment;
			// Its workers are started by name.
			const path = `${join(python, "..")}:${process.env.PATH ?? ""}`;
			const { stdout } = await run(python, [program, directory], {
				cwd: directory,
				env: { PATH: path, HOME: directory, PYTHONDONTWRITEBYTECODE: "1" },
				timeout: timeLimitMs,
				maxBuffer: 16 * 1024 * 1024,
			});
			return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as PeerFigures;
		} finally {
			await environment.remove();
		}
	} catch (error) {
		const reason = error instanceof Error ? error.message.trim().split("\n").at(-1) : String(error);
		return `Parsl was not measured: ${parslPackage} could not be installed or run here (${reason}).`;
	} finally {
		await rm(directory, { recursive: true, force: true });
	}
}
