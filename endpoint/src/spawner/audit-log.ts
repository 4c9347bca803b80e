/**
 * `audit.log` of a manager endpoint: who was given which process, what it ran and how it ended. JSON lines, only ever added
 * to, readable by the manager's account alone. A large file is put aside under its date; nothing here removes one. What one
 * account's processes can make it grow by is bounded (child-audit.ts).
 */
import { appendFile, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "../service/logger.ts";

const asideBytes = 64 * 1024 * 1024;

/** Whose process an entry is about; the manager's own knowledge, never what the process says. */
export interface AuditSubject {
	readonly user_endpoint_id: string;
	readonly identity_id: string;
	readonly username: string;
	readonly account?: string;
	readonly uid?: number;
	readonly pid?: number;
}

export type AuditEntry =
	| { readonly event: "start"; readonly config_digest: string }
	/** `unheard`: its line is lost, so of its tasks there are no entries any more. */
	| { readonly event: "adopt"; readonly unheard?: true }
	/** `status` and `signal` are null when the process ended under another manager. */
	| { readonly event: "end"; readonly status: number | null; readonly signal: string | null; readonly reason: string }
	| { readonly event: "refuse"; readonly reason: string }
	| {
			readonly event: "task-accepted" | "task-started" | "task-ended";
			readonly task_id: string;
			readonly function_id?: string | undefined;
			readonly state?: string | undefined;
			/** When it started, of a task that was told of afterwards. */
			readonly at?: string | undefined;
	  }
	/** The process said more than is taken, or what is not understood. */
	| { readonly event: "lines-lost"; readonly lines: number };

export interface AuditLog {
	note(subject: AuditSubject, entry: AuditEntry): void;
	/** Resolves when everything noted is in the file, or could not be written. */
	written(): Promise<void>;
}

export function openAuditLog(directory: string, nowMs: () => number, log: Logger): AuditLog {
	const path = join(directory, "audit.log");
	let waiting: string[] = [];
	let writing: Promise<void> | undefined;

	async function write(): Promise<void> {
		while (waiting.length > 0) {
			const text = waiting.join("");
			waiting = [];
			try {
				const { size } = await stat(path).catch(() => ({ size: 0 }));
				if (size > asideBytes) await rename(path, join(directory, `audit-${new Date(nowMs()).toISOString()}.log`));
				// Opened each time: who rotates logs need not tell us.
				await appendFile(path, text, { mode: 0o600 });
			} catch (error) {
				log.error({ err: error, path, bytes: text.length }, "audit: lines could not be written");
			}
		}
		writing = undefined;
	}

	return {
		note(subject, entry) {
			waiting.push(`${JSON.stringify({ time: new Date(nowMs()).toISOString(), ...entry, ...subject })}\n`);
			writing ??= write();
		},
		async written() {
			await writing;
		},
	};
}
