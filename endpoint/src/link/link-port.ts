/** The port of the link stays over restarts: managers that outlive the daemon look for it there. */
import { writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import type { Logger } from "../service/logger.ts";

/** The remembered port if it is free, otherwise 0 (any). Inverse of {@link saveLinkPort}. */
export async function loadLinkPort(directory: string, host: string, log: Logger): Promise<number> {
	const text = await readFile(join(directory, "link-port"), "utf8").catch(() => "");
	const port = Number(text.trim());
	if (!Number.isInteger(port) || port < 1 || port > 65_535) return 0;
	if (await isFree(host, port)) return port;
	log.error({ port }, "link: the port of the last time is taken; managers that still run will not find this daemon");
	return 0;
}

export function saveLinkPort(directory: string, port: number): void {
	writeFileSync(join(directory, "link-port"), `${port}\n`, { mode: 0o600 });
}

function isFree(host: string, port: number): Promise<boolean> {
	return new Promise((resolve) => {
		const probe = createServer();
		probe.once("error", () => resolve(false));
		probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve(true)));
	});
}
