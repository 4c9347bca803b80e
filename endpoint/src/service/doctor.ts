/** What keeps an endpoint from working, as far as the daemon's own parts can tell without starting it. */
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, mkdirSync } from "node:fs";
import { readConfig } from "../config/config.ts";
import { readCredentials } from "../config/credentials.ts";
import { openCloudClient } from "../uplink/cloud-client.ts";
import { openTokens } from "../uplink/token.ts";
import { silentLogger } from "./logger.ts";

export interface Check {
	readonly name: string;
	readonly state: "ok" | "warning" | "fault";
	readonly says: string;
	readonly next?: string;
}

type Verdict = Omit<Check, "name">;
const ok = (says: string): Verdict => ({ state: "ok", says });

const cloudTimeoutMs = 10_000;

export async function examine(directory: string, managerProgram: string): Promise<Check[]> {
	const checks: Check[] = [];
	const look = async (name: string, test: () => Verdict | Promise<Verdict>, next?: string): Promise<boolean> => {
		try {
			const verdict = await test();
			checks.push({ name, ...verdict, ...(verdict.state !== "ok" && next !== undefined && { next }) });
			return verdict.state === "ok";
		} catch (error) {
			checks.push({ name, state: "fault", says: (error as Error).message, ...(next !== undefined && { next }) });
			return false;
		}
	};

	const configured = await look("config.yaml", () => {
		const { scheduler, queues } = readConfig(directory);
		const counts = queues.map(({ name, maxBlocks }) => `${name}: at most ${maxBlocks}`).join(", ");
		return ok(`scheduler ${scheduler}; blocks of ${counts}`);
	});
	await look("manager", () => {
		if (!existsSync(managerProgram))
			return { state: "fault", says: `${managerProgram} is missing: the installation is not whole` };
		return ok(managerProgram);
	});
	if (configured) {
		const config = readConfig(directory);
		await look("working directory", () => {
			mkdirSync(config.workingDirectory, { recursive: true, mode: 0o700 });
			accessSync(config.workingDirectory, constants.W_OK);
			return ok(config.workingDirectory);
		});
		await look(
			"python",
			() => {
				// The same way as in a block: after worker_init, found by the same shell.
				const script = `${config.queues[0]?.workerInit ?? ""}\nexec "$0" --version`;
				const run = spawnSync("/bin/bash", ["-c", script, config.python], { encoding: "utf8", timeout: 30_000 });
				if (run.status === 0) return ok(`${run.stdout.trim() || run.stderr.trim()} (${config.python})`);
				return { state: "warning", says: `${config.python} does not run: Python functions will fail here` };
			},
			"set python or worker_init in config.yaml; JavaScript and shell functions work without it",
		);
	}
	const keyed = await look("credentials.json", () => ok(`endpoint ${readCredentials(directory).endpointId}`));
	if (keyed) {
		const credentials = readCredentials(directory);
		const reached = await look(
			"cloud",
			async () => {
				await openCloudClient(credentials, Date.now, silentLogger).version(AbortSignal.timeout(cloudTimeoutMs));
				return ok(`${credentials.cloudUrl} answers`);
			},
			`is ${credentials.cloudUrl} running, and reachable from here?`,
		);
		if (reached)
			await look("key", async () => {
				await openTokens(credentials, Date.now).accessToken();
				return ok("the cloud accepts this endpoint's key");
			});
	}
	return checks;
}
