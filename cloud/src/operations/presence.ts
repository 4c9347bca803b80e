/** Whether somebody who sends heartbeats is there. */

interface Heard {
	readonly active: boolean;
	readonly last_seen_at: Date | null;
	readonly heartbeat_period_ms: number | null;
}

/** Heartbeats that may be missed before somebody counts as gone. */
const missedHeartbeats = 3;
const defaultHeartbeatMs = 30_000;

/**
 * Whether the endpoint or user endpoint was heard of lately and has not said farewell. `hearingSinceMs`: since when it
 * could have been heard; who was silent before that need not be gone.
 */
export function isOnline(row: Heard, nowMs: number, hearingSinceMs = 0): boolean {
	if (!row.active || row.last_seen_at === null) return false;
	const sinceMs = Math.max(row.last_seen_at.getTime(), hearingSinceMs);
	return nowMs - sinceMs <= missedHeartbeats * (row.heartbeat_period_ms ?? defaultHeartbeatMs);
}
