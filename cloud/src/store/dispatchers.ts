/** Statements about the cloud processes that publish tasks, and what a dead one left unpublished. */
import type { Session } from "./pool.ts";

export async function insertDispatcher(session: Session, leaseMs: number): Promise<number> {
	const { rows } = await session.query<{ id: number }>(
		"insert into dispatchers (lease_expires_at) values (now() + $1 * interval '1 millisecond') returning id",
		[leaseMs],
	);
	return (rows[0] as { id: number }).id;
}

/**
 * Everything of this dispatcher up to the watermark has reached the broker. Returns how many dispatchers live, itself
 * included. Makes the row again if another process thought this one dead.
 */
export async function renewDispatcher(
	session: Session,
	id: number,
	watermark: bigint,
	leaseMs: number,
): Promise<number> {
	const { rows } = await session.query<{ living: bigint }>(
		`with renewed as (
			insert into dispatchers (id, lease_expires_at, watermark) overriding system value
			values ($1, now() + $3 * interval '1 millisecond', $2)
			on conflict (id) do update set lease_expires_at = excluded.lease_expires_at,
				watermark = greatest(dispatchers.watermark, excluded.watermark)
		)
		select count(*) + 1 as living from dispatchers where id <> $1 and lease_expires_at > now()`,
		[id, watermark, leaseMs],
	);
	return Number(rows[0]?.living ?? 1);
}

/** Dispatchers whose lease has ended, or all others when this process is known to be the only one. */
export async function deadDispatchers(
	session: Session,
	self: number,
	alone: boolean,
): Promise<{ id: number; watermark: bigint }[]> {
	const { rows } = await session.query<{ id: number; watermark: bigint }>(
		"select id, watermark from dispatchers where id <> $1 and ($2 or lease_expires_at < now()) order by id",
		[self, alone],
	);
	return rows;
}

/** After everything it recorded has been published, by itself or by whoever buries it. */
export async function deleteDispatcher(session: Session, id: number): Promise<void> {
	await session.query("delete from dispatchers where id = $1", [id]);
}
