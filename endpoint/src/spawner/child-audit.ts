/**
 * What is written to the audit log because a process says so. Each account has a share of lines for an hour; further ones
 * are only counted, so that nobody fills the disk, or hides what others did.
 */
import type { AuditEntry, AuditLog, AuditSubject } from "./audit-log.ts";
import type { ChildRecord } from "./child-record.ts";

const hourMs = 3_600_000;

interface Share {
	readonly sinceMs: number;
	taken: number;
}

export class AuditShares {
	readonly #shares = new Map<number, Share>();
	readonly #linesPerHour: number;
	readonly #nowMs: () => number;

	constructor(linesPerHour: number, nowMs: () => number) {
		this.#linesPerHour = linesPerHour;
		this.#nowMs = nowMs;
	}

	/** False when the account has had its share of this hour. */
	take(uid: number): boolean {
		let share = this.#shares.get(uid);
		if (share === undefined || this.#nowMs() - share.sinceMs >= hourMs) {
			share = { sinceMs: this.#nowMs(), taken: 0 };
			this.#shares.set(uid, share);
		}
		share.taken++;
		return share.taken <= this.#linesPerHour;
	}
}

export interface ChildAudit {
	/** False when it is only counted. */
	note(entry: AuditEntry): boolean;
	/** Writes how many were only counted. */
	tellLost(): void;
}

/** @param onBounded the first line that is only counted, after some that were written */
export function childAudit(
	audit: AuditLog,
	shares: AuditShares,
	record: ChildRecord,
	onBounded: () => void,
): ChildAudit {
	const subject = subjectOf(record);
	let bounded = false;
	let lost = 0;

	function tellLost(): void {
		if (lost > 0) audit.note(subject, { event: "lines-lost", lines: lost });
		lost = 0;
	}
	return {
		note(entry) {
			if (shares.take(record.uid)) {
				bounded = false;
				tellLost();
				audit.note(subject, entry);
				return true;
			}
			lost += entry.event === "lines-lost" ? entry.lines : 1;
			if (!bounded) {
				bounded = true;
				// At once, so that the log itself says from when on something is missing.
				tellLost();
				onBounded();
			}
			return false;
		},
		tellLost,
	};
}

export function subjectOf(record: ChildRecord): AuditSubject {
	const { user_endpoint_id, identity_id, username, account, uid, pid } = record;
	return { user_endpoint_id, identity_id, username, account, uid, pid };
}
