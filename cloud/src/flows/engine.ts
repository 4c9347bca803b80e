/**
 * Carries runs on. Whoever has a thread's row has the thread: any number of cloud processes share the work, and what one
 * that was killed had under way is found by the others. Within a process everything goes by events; the sweep is for
 * what other processes left.
 */
import { Fault, type RunId, type TaskGroupId, type TransferId } from "@errand/proto";
import type { FlowDefinition, JsonObject } from "@errand/proto/flow";
import type { CloudEventBus } from "../observe/events.ts";
import type { Log } from "../store/embedded-postgres.ts";
import type { Database, Session } from "../store/pool.ts";
import { awaitedNews, dueActions, endLeases } from "../store/run-actions.ts";
import { dueThreads, parkThread, scriptOfRun, settleActivity } from "../store/run-threads.ts";
import { askAbout } from "./asking.ts";
import { carryOn, type Script } from "./carry.ts";
import type { NewsSource, Provider } from "./providers/provider.ts";
import { WorkQueue } from "./work-queue.ts";

export interface Engine {
	close(): Promise<void>;
}

/** Threads in transactions at a time: they share the pool with everything else. */
const threadsAtOnce = 4;
/** Actions asked about at a time. Most wait for an answer from elsewhere. */
const asksAtOnce = 32;
const sweepEveryMs = 2_000;
const sweepRows = 500;
/** Definitions kept parsed. */
const scriptsKept = 500;
/** A timer further away than this is the sweep's. */
const nearMs = 60_000;

export async function openEngine(ports: {
	database: Database;
	events: CloudEventBus;
	log: Log;
	/** Parsed as it was accepted; throws when it cannot be any more. */
	parse: (definition: unknown) => FlowDefinition;
	providerOf: (url: string) => Provider;
	/** No other process uses this database. */
	alone: boolean;
}): Promise<Engine> {
	const { database, events, log, parse } = ports;
	let closed = false;
	/** Requests of which there is news when there is of this. */
	const watched = new Map<NewsSource, Set<string>>();
	const sourceOf = new Map<string, NewsSource>();
	const scripts = new Map<RunId, Script>();
	const timers = new Set<NodeJS.Timeout>();

	async function scriptOf(session: Session, run: RunId): Promise<Script> {
		const known = scripts.get(run);
		if (known !== undefined) {
			scripts.delete(run);
			scripts.set(run, known);
			return known;
		}
		const row = await scriptOfRun(session, run);
		if (row === undefined) throw new RangeError(`there is no run ${run}`);
		const script = { definition: parse(row.definition), context: row.context as JsonObject };
		scripts.set(run, script);
		if (scripts.size > scriptsKept) scripts.delete(scripts.keys().next().value as RunId);
		return script;
	}

	const later = (waitMs: number, work: () => void): void => {
		if (closed || waitMs > nearMs) return;
		const timer = setTimeout(() => {
			timers.delete(timer);
			work();
		}, waitMs);
		timers.add(timer.unref());
	};

	/** Told just now: whoever has the thread is waited for, since it has not heard this. */
	const told = new Set<string>();
	const threads = new WorkQueue(threadsAtOnce, async (id) => {
		const patient = told.delete(id);
		try {
			const then = await carryOn(database, scriptOf, id, patient);
			if (then === undefined) return;
			for (const thread of then.threads) tell(thread);
			for (const request of then.requests) requests.add(request);
			const { due } = then;
			if (due !== undefined) later(Math.max(0, due.atMs - due.nowMs) + 1, () => threads.add(id));
		} catch (cause) {
			// A database that is away says nothing about the run.
			const away = cause instanceof Fault && cause.code === "NOT_READY";
			if (!closed && away) log.warn({ thread: id, reason: cause.message }, "a run waits for the database");
			else if (!closed) await park(id, cause);
		}
	});
	const tell = (thread: string): void => {
		told.add(thread);
		threads.add(thread);
	};

	/** A definition that cannot be read any more, or an error of ours: the run waits for somebody, and the others go on. */
	async function park(id: string, cause: unknown): Promise<void> {
		const reason = cause instanceof Error ? cause.message : String(cause);
		log.error({ thread: id, err: cause }, "a run cannot be carried on; it waits until it is resumed");
		const inactive = { code: "EngineFault", description: `the service could not go on: ${reason}`, details: {} };
		try {
			const run = await parkThread(database, id, inactive);
			if (run !== undefined) await database.transaction((session) => settleActivity(session, run));
		} catch (failed) {
			log.warn({ thread: id, reason: String(failed) }, "could not park a run yet; the sweep comes by it again");
		}
	}

	/** Those of which there is news: they are asked about although their time has not come. */
	const hurried = new Set<string>();
	const requests = new WorkQueue(asksAtOnce, async (request) => {
		try {
			const asked = await askAbout(ports, request, !hurried.delete(request));
			if (asked === undefined) return;
			if (asked.thread !== undefined) tell(asked.thread);
			if (asked.newsOf === undefined) unwatch(request);
			else watch(asked.newsOf, request);
			if (asked.againMs !== undefined) later(asked.againMs, () => requests.add(request));
		} catch (cause) {
			if (!closed) log.warn({ request, reason: String(cause) }, "could not ask about an action; the sweep does again");
		}
	});

	function hurry(request: string): void {
		hurried.add(request);
		requests.add(request);
	}
	function watch(source: NewsSource, request: string): void {
		if (sourceOf.has(request)) return;
		sourceOf.set(request, source);
		watched.set(source, (watched.get(source) ?? new Set()).add(request));
		// What came before it was watched told nobody.
		hurry(request);
	}
	function unwatch(request: string): void {
		const source = sourceOf.get(request);
		if (source === undefined) return;
		sourceOf.delete(request);
		const some = watched.get(source);
		if (some?.delete(request) && some.size === 0) watched.delete(source);
	}
	const news = (source: NewsSource): void => {
		for (const request of watched.get(source) ?? []) hurry(request);
	};
	const results = ({ group }: { group: TaskGroupId }): void => news(group);
	const transferred = ({ transfer }: { transfer: TransferId }): void => news(transfer);
	const toldToThread = ({ thread }: { thread: string }): void => tell(thread);
	events.on("results:recorded", results).on("results:elsewhere", results);
	events.on("transfer:ended", transferred).on("run:told", toldToThread);

	async function sweep(): Promise<void> {
		for (const thread of await dueThreads(database, sweepRows)) threads.add(thread);
		for (const request of await dueActions(database, sweepRows)) requests.add(request);
	}

	if (ports.alone) await endLeases(database);
	for (const { news_of: source, request_id: request } of await awaitedNews(database)) watch(source, request);
	await sweep();
	let round = Promise.resolve();
	const timer = setInterval(() => {
		round = round
			.then(() => (closed ? undefined : sweep()))
			.catch((cause: unknown) => log.warn({ reason: String(cause) }, "the sweep for runs failed; trying again"));
	}, sweepEveryMs);
	timer.unref();

	return {
		async close() {
			closed = true;
			clearInterval(timer);
			for (const one of timers) clearTimeout(one);
			events.off("results:recorded", results).off("results:elsewhere", results);
			events.off("transfer:ended", transferred).off("run:told", toldToThread);
			await round;
			await Promise.all([threads.close(), requests.close()]);
		},
	};
}
