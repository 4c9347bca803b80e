/** Statements about what providers were and are to be asked. */
import type { AccountId, RunId, TaskGroupId, TransferId } from "@errand/proto";
import { toJsonb } from "./json.ts";
import type { Session } from "./pool.ts";

/** A group of tasks whose results, or a transfer whose end, is news of an action. */
type NewsSource = TaskGroupId | TransferId;

type ActionStatus = "STARTING" | "ACTIVE" | "INACTIVE" | "SUCCEEDED" | "FAILED";

export interface NewAction {
	readonly request: string;
	/** Of its thread. */
	readonly turn: number;
	readonly url: string;
	readonly body: unknown;
}

export interface ActionRow {
	request_id: string;
	run_id: RunId;
	thread_id: string;
	turn: number;
	url: string;
	body: unknown;
	status: ActionStatus;
	action_id: string | null;
	document: unknown;
	cancel_requested: boolean;
	resume_requested: boolean;
	/** How often its provider was asked, this time included. */
	asked: number;
	silent_since: Date | null;
	news_of: NewsSource | null;
	/** In whose name the provider is asked. */
	owner_id: AccountId;
	login: unknown;
	label: string;
	now: Date;
}

const columns = `a.request_id, a.run_id, a.thread_id, a.turn, a.url, a.body, a.status, a.action_id, a.document, a.cancel_requested, a.resume_requested,
	a.asked, a.silent_since, a.news_of, r.owner_id, r.login, r.label, now() as now`;

/** Recorded before anybody is asked. May be repeated. */
export async function insertActions(
	session: Session,
	run: RunId,
	thread: string,
	actions: readonly NewAction[],
): Promise<void> {
	for (const { request, turn, url, body } of actions)
		await session.query(
			`insert into run_actions (request_id, run_id, thread_id, turn, url, body) values ($1, $2, $3, $4, $5, $6)
			on conflict (request_id) do nothing`,
			[request, run, thread, turn, url, toJsonb(body)],
		);
}

/** The provider is to be asked to end it; one that has ended is left alone. */
export async function cancelAction(session: Session, request: string): Promise<void> {
	await session.query(
		`update run_actions set cancel_requested = true, next_at = now()
		where request_id = $1 and status not in ('SUCCEEDED', 'FAILED')`,
		[request],
	);
}

/** The provider is to be told that what it waited for was put right. */
export async function resumeAction(session: Session, request: string): Promise<void> {
	await session.query(
		"update run_actions set resume_requested = true, next_at = now() where request_id = $1 and status not in ('SUCCEEDED', 'FAILED')",
		[request],
	);
}

/**
 * Takes one action to ask its provider about, so that no other process does for `leaseMs`. `due`: only when its time has
 * come. Undefined: it has ended, it is not due, or somebody is asking.
 */
export async function claimAction(
	session: Session,
	request: string,
	leaseMs: number,
	due: boolean,
): Promise<ActionRow | undefined> {
	const { rows } = await session.prepared<ActionRow>(
		"claim-action",
		`with mine as (
			select request_id from run_actions where request_id = $1 and next_at is not null and (next_at <= now() or not $3)
			for no key update skip locked)
		update run_actions a set next_at = now() + $2 * interval '1 millisecond', asked = asked + 1
		from mine, runs r where a.request_id = mine.request_id and r.id = a.run_id returning ${columns}`,
		[request, leaseMs, due],
	);
	return rows[0];
}

/** Those whose time has come, longest waiting first. */
export async function dueActions(session: Session, limit: number): Promise<string[]> {
	const { rows } = await session.prepared<{ request_id: string }>(
		"due-actions",
		"select request_id from run_actions where next_at <= now() order by next_at limit $1",
		[limit],
	);
	return rows.map((row) => row.request_id);
}

/** Actions under way, with what there will be news of. */
export async function awaitedNews(session: Session): Promise<{ request_id: string; news_of: NewsSource }[]> {
	const { rows } = await session.query<{ request_id: string; news_of: NewsSource }>(
		"select request_id, news_of from run_actions where news_of is not null and next_at is not null",
	);
	return rows;
}

export interface ActionNews {
	readonly status: ActionStatus;
	readonly actionId: string | null;
	readonly document: unknown;
	/** Milliseconds from now; null: not again. */
	readonly nextMs: number | null;
	readonly silentSince: Date | null;
	readonly newsOf: NewsSource | null;
	/** The provider was asked to cancel. */
	readonly toldToCancel: boolean;
	/** The provider was told to go on. */
	readonly toldToResume: boolean;
}

/** What the provider said. False when the action had ended before: it is not told twice. */
export async function recordAnswer(session: Session, request: string, news: ActionNews): Promise<boolean> {
	const { rowCount } = await session.prepared(
		"record-answer",
		`update run_actions set status = $2, action_id = coalesce($3, action_id), document = coalesce($4, document),
			next_at = case when $5::bigint is null then null
				-- Asked for meanwhile: the provider has not heard of it.
				when cancel_requested and not $8 then now() else now() + $5 * interval '1 millisecond' end,
			resume_requested = resume_requested and not $9, silent_since = $6, news_of = coalesce($7, news_of)
		where request_id = $1 and status not in ('SUCCEEDED', 'FAILED')`,
		[
			request,
			news.status,
			news.actionId,
			toJsonb(news.document),
			news.nextMs === null ? null : Math.round(news.nextMs),
			news.silentSince,
			news.newsOf,
			news.toldToCancel,
			news.toldToResume,
		],
	);
	return rowCount === 1;
}

/** Processes of this database that have ended hold nothing: what they were asking is asked again. For whoever is alone. */
export async function endLeases(session: Session): Promise<void> {
	await session.query("update run_actions set next_at = now() where next_at is not null");
}

/** Whether a run has actions whose providers have not heard the last of it. */
export async function pendingActions(session: Session, run: RunId): Promise<boolean> {
	const { rows } = await session.query("select from run_actions where run_id = $1 and next_at is not null limit 1", [
		run,
	]);
	return rows.length > 0;
}
