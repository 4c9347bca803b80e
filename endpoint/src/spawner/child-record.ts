/**
 * Which processes a manager has started, a file each in its directory, so that the next manager knows them again: by process id,
 * start time and boot, for ids are used again.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { isAlive } from "../service/process-identity.ts";

const childRecord = z.object({
	user_endpoint_id: z.uuid(),
	name: z.string(),
	/** Of the key that it has: another key means another process is wanted. */
	client_id: z.uuid(),
	/** When the command with that key was sent; of earlier versions there is none. */
	sent_at_ms: z.number().optional(),
	identity_id: z.string(),
	username: z.string(),
	account: z.string(),
	uid: z.int(),
	pid: z.int().positive(),
	start: z.string(),
	boot: z.string(),
	started_at: z.iso.datetime(),
	config_digest: z.string(),
	/** Its template is filled in. */
	rendered: z.boolean(),
	/** It has taken up its work. */
	running: z.boolean(),
});
export type ChildRecord = Readonly<z.output<typeof childRecord>>;

/** Undefined where the kernel does not tell: then ids and start times must do. */
export function bootId(): string {
	try {
		return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
	} catch {
		return "unknown";
	}
}

/** That very process lives. */
export const lives = ({ pid, start, boot }: Pick<ChildRecord, "pid" | "start" | "boot">): boolean =>
	boot === bootId() && isAlive(pid, start);

export class ChildRecords {
	readonly #directory: string;

	constructor(managerDirectory: string) {
		this.#directory = join(managerDirectory, "user-endpoints");
		mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
	}

	pipePath(userEndpointId: string): string {
		return join(this.#directory, `${userEndpointId}.pipe`);
	}

	write(record: ChildRecord): void {
		const path = this.#path(record.user_endpoint_id);
		writeFileSync(`${path}.new`, `${JSON.stringify(record)}\n`, { mode: 0o600 });
		renameSync(`${path}.new`, path);
	}

	remove(userEndpointId: string): void {
		rmSync(this.#path(userEndpointId), { force: true });
	}

	/** Those of processes that have ended, too. What cannot be read is left out, and removed. */
	all(): ChildRecord[] {
		return readdirSync(this.#directory)
			.filter((name) => name.endsWith(".json"))
			.flatMap((name) => {
				const path = join(this.#directory, name);
				try {
					return [childRecord.parse(JSON.parse(readFileSync(path, "utf8")))];
				} catch {
					rmSync(path, { force: true });
					return [];
				}
			});
	}

	#path(userEndpointId: string): string {
		return join(this.#directory, `${userEndpointId}.json`);
	}
}
