/** The script of each block as it was handed over, for people: without the block's token, and readable by the owner alone. */
import { mkdir, readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { BlockSpec, Scheduler } from "../scheduler/scheduler.ts";

/** Of ended blocks, so many scripts and logs are kept. */
const keptScripts = 20;
const keptLogs = 100;

/** What stands in a shown script where a secret was. */
export const secretPlaceholder = "(the token of the block)";
const secretVariables = ["ERRAND_BLOCK_TOKEN"];

/** The same block without its secrets: to be shown, never to be submitted. */
export function withoutSecrets(spec: BlockSpec): BlockSpec {
	const hidden = secretVariables.filter((name) => name in spec.environment).map((name) => [name, secretPlaceholder]);
	return { ...spec, environment: { ...spec.environment, ...Object.fromEntries(hidden) } };
}

/** The values that must not be shown. */
export function secretsOf({ environment }: BlockSpec): string[] {
	return secretVariables.map((name) => environment[name] ?? "").filter((value) => value !== "");
}

const folderOf = (directory: string): string => join(directory, "blocks");

export async function keepScript(directory: string, scheduler: Scheduler, spec: BlockSpec): Promise<void> {
	await mkdir(folderOf(directory), { recursive: true, mode: 0o700 });
	const path = join(folderOf(directory), `${spec.blockId}.script`);
	await writeFile(path, scheduler.script(withoutSecrets(spec)), { mode: 0o600 });
}

/** Removes the oldest scripts and logs of blocks that have ended. */
export async function thinPapers(directory: string, living: ReadonlySet<string>): Promise<void> {
	await thin(folderOf(directory), /^(.*)\.script$/, keptScripts, living);
	await thin(join(directory, "logs"), /^block-(.*)\.log$/, keptLogs, living);
}

async function thin(folder: string, paper: RegExp, kept: number, living: ReadonlySet<string>): Promise<void> {
	const names = (await readdir(folder).catch(() => [])).filter((name) => {
		const block = paper.exec(name)?.[1];
		return block !== undefined && !living.has(block);
	});
	if (names.length <= kept) return;
	const dated = await Promise.all(
		names.map(async (name) => ({ name, ms: (await stat(join(folder, name)).catch(() => undefined))?.mtimeMs ?? 0 })),
	);
	dated.sort((a, b) => b.ms - a.ms);
	await Promise.all(dated.slice(kept).map(({ name }) => rm(join(folder, name), { force: true })));
}
