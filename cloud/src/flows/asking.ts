/** Asks providers what actions want to know or to be done, one action at a time, and tells their threads what they said. */
import type { Json } from "@errand/proto/flow";
import type { Log } from "../store/embedded-postgres.ts";
import type { Database } from "../store/pool.ts";
import { type ActionRow, claimAction, recordAnswer } from "../store/run-actions.ts";
import { tellThread } from "../store/run-threads.ts";
import type { ThreadEvent } from "./machine/event.ts";
import { type Answer, type Ask, type NewsSource, type Provider, Refusal, Silence } from "./providers/provider.ts";

/** Longer than any call of a provider takes: a process that asks and dies is asked after by another then. */
const leaseMs = 30_000;
const silenceMs = { first: 1_000, most: 30_000 };

export interface Asked {
	/** To be carried on: it was told something. */
	readonly thread: string | undefined;
	readonly newsOf: NewsSource | undefined;
	readonly request: string;
	/** When to ask again, in milliseconds from now; undefined: never. */
	readonly againMs: number | undefined;
}

/** `due`: only if its time has come. Undefined: it is not for this process to ask now. */
export async function askAbout(
	ports: { database: Database; providerOf: (url: string) => Provider; log: Log },
	request: string,
	due: boolean,
): Promise<Asked | undefined> {
	const { database, log } = ports;
	const row = await claimAction(database, request, leaseMs, due);
	if (row === undefined) return undefined;
	const heard = await hear(ports.providerOf, row);
	if (heard.kind === "silence") {
		const since = row.silent_since ?? row.now;
		const waitMs = Math.min(silenceMs.first * 2 ** Math.min(row.asked - 1, 10), silenceMs.most);
		log.warn(
			{ request, url: row.url, waitMs, reason: heard.reason },
			"an action provider does not answer; asking again",
		);
		const document = { ...documentOf(row), display_status: `no answer since ${since.toISOString()}` };
		await recordAnswer(database, request, {
			...unchanged(row),
			document: row.document === null ? null : document,
			nextMs: waitMs,
			silentSince: since,
		});
		return { request, thread: undefined, newsOf: row.news_of ?? undefined, againMs: waitMs };
	}
	const event: ThreadEvent =
		heard.kind === "refusal"
			? { kind: "refused", turn: row.turn, cause: heard.reason }
			: { kind: "action", turn: row.turn, status: heard.answer.status, document: heard.answer.document };
	const status = heard.kind === "refusal" ? "FAILED" : heard.answer.status;
	const ended = status === "SUCCEEDED" || status === "FAILED";
	const news = {
		...unchanged(row),
		status,
		...(heard.kind === "answer" && {
			actionId: heard.answer.actionId,
			document: heard.answer.document,
			newsOf: heard.answer.newsOf ?? null,
		}),
		nextMs: heard.kind === "answer" && !ended ? heard.answer.askAgainMs : null,
		silentSince: null,
	} as const;
	const tell = status !== row.status;
	const recorded = await database.transaction(async (session) => {
		const first = await recordAnswer(session, request, news);
		if (first && tell) await tellThread(session, row.thread_id, event);
		return first;
	});
	return {
		request,
		thread: recorded && tell ? row.thread_id : undefined,
		newsOf: heard.kind === "answer" && !ended ? heard.answer.newsOf : undefined,
		againMs: news.nextMs ?? undefined,
	};
}

type Heard =
	| { readonly kind: "answer"; readonly answer: Answer }
	| { readonly kind: "refusal"; readonly reason: string }
	| { readonly kind: "silence"; readonly reason: string };

async function hear(providerOf: (url: string) => Provider, row: ActionRow): Promise<Heard> {
	// Nobody was asked to begin it, so nobody need be asked to end it.
	if (row.cancel_requested && row.status === "STARTING" && row.asked === 1)
		return { kind: "refusal", reason: "the action was cancelled before it began" };
	try {
		return { kind: "answer", answer: await answerOf(providerOf(row.url), row) };
	} catch (cause) {
		if (cause instanceof Refusal) return { kind: "refusal", reason: cause.message };
		if (cause instanceof Silence) return { kind: "silence", reason: cause.message };
		return { kind: "silence", reason: `internal: ${cause instanceof Error ? cause.message : String(cause)}` };
	}
}

async function answerOf(provider: Provider, row: ActionRow): Promise<Answer> {
	const ask: Ask = {
		requestId: row.request_id,
		url: row.url,
		body: row.body as Json,
		owner: row.owner_id,
		login: (row.login ?? undefined) as Ask["login"],
		run: row.run_id,
		label: row.label,
		actionId: row.action_id,
		document: row.document as Json,
		asked: row.asked,
	};
	if (row.status === "STARTING" || row.action_id === null) {
		const begun = await provider.run(ask);
		// The id is known now: it is cancelled at the next asking.
		return row.cancel_requested ? { ...begun, askAgainMs: 0 } : begun;
	}
	if (row.cancel_requested) return await provider.cancel(ask);
	if (row.resume_requested) return await provider.resume(ask);
	return await provider.status(ask);
}

const unchanged = (row: ActionRow) => ({
	status: row.status,
	actionId: row.action_id,
	document: row.document,
	newsOf: row.news_of,
	toldToCancel: row.cancel_requested,
	toldToResume: row.resume_requested,
});

const documentOf = (row: ActionRow): object =>
	typeof row.document === "object" && row.document !== null ? row.document : {};
