/** The batch script of the endpoint's next block, as the scheduler would get it, without the secret. */
import { mkdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { newId } from "@errand/proto";
import { secretPlaceholder, withoutSecrets } from "../blocks/script-file.ts";
import type { EndpointConfig } from "../config/config.ts";
import { loadLinkIdentity } from "../link/certificate.ts";
import type { Scheduler } from "../scheduler/scheduler.ts";
import { managerSpec } from "./manager-command.ts";

export interface ShownScriptOptions {
	readonly directory: string;
	readonly config: EndpointConfig;
	readonly scheduler: Pick<Scheduler, "script">;
	/** The manager's main file. */
	readonly managerProgram: string;
	/** Undefined: the first one. */
	readonly queue: string | undefined;
}

/** Throws an Error that names the queues when there is no such queue. */
export async function shownScript(options: ShownScriptOptions): Promise<string> {
	const { directory, config, scheduler, managerProgram } = options;
	const queue = config.queues.find(({ name }) => name === (options.queue ?? config.queues[0]?.name));
	if (!queue)
		throw new Error(
			`there is no queue "${options.queue}" in config.yaml; there are: ${config.queues.map(({ name }) => name).join(", ")}`,
		);
	mkdirSync(directory, { recursive: true, mode: 0o700 });
	// Before its first start the endpoint has no port yet.
	const saved = Number(await readFile(join(directory, "link-port"), "utf8").catch(() => "0"));
	const spec = managerSpec(
		{
			directory,
			config,
			tokens: { issue: () => secretPlaceholder, check: () => undefined },
			certificate: (await loadLinkIdentity(directory)).certificate,
			linkPort: config.linkPort ?? saved,
			program: managerProgram,
		},
		newId(),
		queue,
	);
	return scheduler.script(withoutSecrets(spec));
}
