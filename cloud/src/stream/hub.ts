/**
 * Who follows which task group, and what each may be sent now. A reader that has everything and has credit is handed
 * committed results as they happen; any other reads them from the store by its cursor when it can take them. So the
 * hub holds no result for anybody: memory does not grow with slow readers, and a cursor is never passed over.
 */
import { setTimeout as setTimer } from "node:timers";
import type { TaskGroupId } from "@errand/proto";
import { type StreamFrame, streamInitialCredit, type streamKinds } from "@errand/proto/rest";
import type { CloudEventBus, CloudEvents } from "../observe/events.ts";
import type { Log } from "../observe/log.ts";
import type { Operations } from "../operations/operations.ts";
import { ResultFrames } from "./result-frames.ts";

/** Where a reader's frames go. */
interface Sink {
	/** Takes a frame; keeps the order; does not throw. */
	send(text: string): void;
	/** Bytes taken and not yet given to the network. */
	readonly bufferedBytes: number;
}

export interface HubOptions {
	readonly events: CloudEventBus;
	readonly resultsAfter: Operations["resultsAfter"];
	readonly log: Log;
	/**
	 * No other cloud process records results in this database. Then the order of events is the order of cursors, and
	 * results are pushed from the event itself. Otherwise an event only says that there is something to read.
	 */
	readonly alone: boolean;
	/** Runs something later; for tests. */
	readonly later?: (run: () => void, delayMs: number) => void;
}

/** One reader's place at the hub. */
export interface Reader {
	/** Follows a group from behind a cursor; again: from there. The caller must have been authorized for the group. */
	subscribe(group: TaskGroupId, cursor: bigint, also: ReadonlySet<(typeof streamKinds)[number]>): void;
	unsubscribe(group: TaskGroupId): void;
	/** This many more result frames may be sent. */
	grant(frames: number): void;
	/** To be called when the sink has given bytes to the network. */
	drained(): void;
	readonly groups: readonly TaskGroupId[];
	close(): void;
}

export interface Hub {
	connect(sink: Sink): Reader;
	/** `bufferedBytes`: of the reader that has most. */
	stats(): { readers: number; subscriptions: number; droppedFrames: number; bufferedBytes: number };
	close(): void;
}

/** A reader with more than this in its buffer is sent nothing: with the frame on top it is what one reader may cost. */
const highWaterBytes = 1024 * 1024;
/** Credit beyond this is not counted: nobody reads so many frames ahead. */
const creditLimit = 10_000;
/** Rows in one read. */
const readLimitRows = 100;
/** Reads at once, over all readers: what they hold in memory, and of the pool's connections. */
const readsAtOnce = 6;
const retryFirstMs = 100;
const retryLastMs = 10_000;

/** Where a subscription stands. */
type Position =
	/** Has everything that is committed. */
	| { readonly at: "live" }
	/** Waits for credit, or room in the buffer, or its turn. */
	| { readonly at: "behind" }
	/** Has a read under way, or in the queue; `again`: something was committed meanwhile. */
	| { readonly at: "reading"; again: boolean };

interface Subscription {
	readonly group: TaskGroupId;
	readonly place: Place;
	readonly also: ReadonlySet<string>;
	cursor: bigint;
	position: Position;
	/** Frames other than results that could not be sent. */
	dropped: number;
	/** Rows to read at once: fewer when the last read brought more than could be sent. */
	readLimit: number;
	failures: number;
	ended: boolean;
}

/** A reader, inside. */
interface Place {
	readonly sink: Sink;
	readonly subscriptions: Map<TaskGroupId, Subscription>;
	/** Those that are behind, longest wait first. */
	readonly waiting: Set<Subscription>;
	/** Those with frames dropped that the reader has not been told of. */
	readonly untold: Set<Subscription>;
	credit: number;
	/** Subscriptions that read or are about to: never more than there is credit for. */
	reads: number;
	ended: boolean;
}

export function openHub(options: HubOptions): Hub {
	const { events, log } = options;
	const later = options.later ?? ((run, delayMs) => void setTimer(run, delayMs).unref());
	const followers = new Map<TaskGroupId, Set<Subscription>>();
	const places = new Set<Place>();
	const queue: Subscription[] = [];
	let reading = 0;
	let droppedFrames = 0;
	let closed = false;
	/** A recording failed and none has succeeded since: the next one shows what became of it. */
	let inDoubt = false;

	const mayTake = (place: Place): boolean => place.credit > 0 && place.sink.bufferedBytes < highWaterBytes;

	/** Sends what fits, from the subscription's cursor on; true when that was everything. */
	function deliver(sub: Subscription, frames: ResultFrames): boolean {
		let at = frames.after(sub.cursor);
		while (at < frames.length) {
			if (!mayTake(sub.place)) return false;
			const frame = frames.at(at);
			sub.place.credit--;
			sub.cursor = frame.cursor;
			at = frame.next;
			sub.place.sink.send(frame.text);
		}
		return true;
	}

	function move(sub: Subscription, position: Position): void {
		sub.position = position;
		if (position.at === "behind") sub.place.waiting.add(sub);
		else sub.place.waiting.delete(sub);
	}

	/** Lets those that are behind read, as far as the reader can take it. */
	function advance(place: Place): void {
		for (const sub of place.waiting) {
			if (!mayTake(place) || place.reads >= place.credit) break;
			move(sub, { at: "reading", again: false });
			place.reads++;
			queue.push(sub);
		}
		pump();
	}

	function pump(): void {
		while (reading < readsAtOnce && queue.length > 0) {
			const sub = queue.shift() as Subscription;
			reading++;
			void read(sub).finally(() => {
				reading--;
				sub.place.reads--;
				if (!sub.place.ended) advance(sub.place);
				pump();
			});
		}
	}

	async function read(sub: Subscription): Promise<void> {
		if (sub.ended) return;
		if (!mayTake(sub.place)) {
			move(sub, { at: "behind" });
			return;
		}
		const limit = sub.readLimit;
		try {
			const { cursors, results } = await options.resultsAfter(sub.group, sub.cursor, limit);
			sub.failures = 0;
			if (sub.ended || sub.position.at !== "reading") return;
			const before = sub.cursor;
			if (!deliver(sub, new ResultFrames(sub.group, cursors, results))) {
				const sent = cursors.filter((cursor) => cursor > before && cursor <= sub.cursor).length;
				sub.readLimit = Math.max(1, sent);
				move(sub, { at: "behind" });
				return;
			}
			sub.readLimit = Math.min(readLimitRows, sub.readLimit * 2);
			move(sub, results.length >= limit || sub.position.again ? { at: "behind" } : { at: "live" });
		} catch (error) {
			retryLater(sub, error);
		}
	}

	function retryLater(sub: Subscription, error: unknown): void {
		const delayMs = Math.min(retryLastMs, retryFirstMs * 2 ** sub.failures++) * (0.5 + Math.random() / 2);
		log.warn({ group: sub.group, delayMs, err: error }, "results could not be read for a stream; trying again");
		later(() => {
			if (closed || sub.ended || sub.position.at !== "reading") return;
			move(sub, { at: "behind" });
			advance(sub.place);
		}, delayMs);
	}

	/** Something was committed that this subscription will have to read. */
	function wake(sub: Subscription): void {
		if (sub.position.at === "reading") sub.position.again = true;
		else if (sub.position.at === "live") {
			move(sub, { at: "behind" });
			advance(sub.place);
		}
	}

	function onRecorded({ group, cursors, results }: CloudEvents["results:recorded"][0]): void {
		if (inDoubt) {
			inDoubt = false;
			wakeAll();
			return;
		}
		const subs = followers.get(group);
		if (subs === undefined) return;
		const frames = new ResultFrames(group, cursors, results);
		for (const sub of subs) {
			if (sub.position.at !== "live" || !options.alone) wake(sub);
			else if (!deliver(sub, frames)) {
				move(sub, { at: "behind" });
				advance(sub.place);
			}
		}
	}

	function wakeAll(): void {
		for (const subs of followers.values()) for (const sub of subs) wake(sub);
	}

	/**
	 * What the failed recording may have committed has lower cursors than what is recorded after it (recordings take
	 * turns), so nobody may be handed the latter before having read the former.
	 */
	function onUncertain(): void {
		inDoubt = true;
		wakeAll();
	}

	function onElsewhere({ group }: CloudEvents["results:elsewhere"][0]): void {
		for (const sub of followers.get(group) ?? []) wake(sub);
	}

	function onReported({ group, frame }: CloudEvents["task:reported"][0]): void {
		let text: string | undefined;
		for (const sub of followers.get(group) ?? []) {
			if (!sub.also.has(frame.type)) continue;
			if (sub.place.sink.bufferedBytes >= highWaterBytes) {
				sub.dropped++;
				sub.place.untold.add(sub);
				droppedFrames++;
				continue;
			}
			tellDropped(sub);
			text ??= JSON.stringify(frame);
			sub.place.sink.send(text);
		}
	}

	function tellDropped(sub: Subscription): void {
		if (sub.dropped === 0) return;
		const frame: StreamFrame = { type: "dropped", group: sub.group, frames: sub.dropped };
		sub.dropped = 0;
		sub.place.untold.delete(sub);
		sub.place.sink.send(JSON.stringify(frame));
	}

	function end(sub: Subscription): void {
		sub.ended = true;
		sub.place.subscriptions.delete(sub.group);
		sub.place.waiting.delete(sub);
		sub.place.untold.delete(sub);
		const subs = followers.get(sub.group);
		subs?.delete(sub);
		if (subs?.size === 0) followers.delete(sub.group);
	}

	function readerAt(place: Place): Reader {
		return {
			get groups() {
				return [...place.subscriptions.keys()];
			},
			subscribe(group, cursor, also) {
				const before = place.subscriptions.get(group);
				if (before !== undefined) end(before);
				const sub: Subscription = {
					group,
					place,
					also,
					cursor,
					position: { at: "behind" },
					dropped: 0,
					readLimit: readLimitRows,
					failures: 0,
					ended: false,
				};
				place.subscriptions.set(group, sub);
				const subs = followers.get(group) ?? new Set();
				followers.set(group, subs.add(sub));
				const frame: StreamFrame = { type: "subscribed", group, cursor: String(cursor) };
				place.sink.send(JSON.stringify(frame));
				move(sub, { at: "behind" });
				advance(place);
			},
			unsubscribe(group) {
				const sub = place.subscriptions.get(group);
				if (sub !== undefined) end(sub);
			},
			grant(frames) {
				place.credit = Math.min(creditLimit, place.credit + frames);
				advance(place);
			},
			drained() {
				if (place.sink.bufferedBytes >= highWaterBytes) return;
				for (const sub of place.untold) tellDropped(sub);
				if (place.waiting.size > 0) advance(place);
			},
			close() {
				place.ended = true;
				for (const sub of [...place.subscriptions.values()]) end(sub);
				places.delete(place);
			},
		};
	}

	events.on("results:recorded", onRecorded);
	events.on("results:uncertain", onUncertain);
	events.on("results:elsewhere", onElsewhere);
	events.on("task:reported", onReported);
	return {
		connect(sink) {
			const place: Place = {
				sink,
				subscriptions: new Map(),
				waiting: new Set(),
				untold: new Set(),
				credit: streamInitialCredit,
				reads: 0,
				ended: false,
			};
			places.add(place);
			return readerAt(place);
		},
		stats() {
			let subscriptions = 0;
			let bufferedBytes = 0;
			for (const place of places) {
				subscriptions += place.subscriptions.size;
				bufferedBytes = Math.max(bufferedBytes, place.sink.bufferedBytes);
			}
			return { readers: places.size, subscriptions, droppedFrames, bufferedBytes };
		},
		close() {
			closed = true;
			events.off("results:recorded", onRecorded);
			events.off("results:uncertain", onUncertain);
			events.off("results:elsewhere", onElsewhere);
			events.off("task:reported", onReported);
			for (const place of [...places]) {
				place.ended = true;
				for (const sub of [...place.subscriptions.values()]) end(sub);
			}
			places.clear();
		},
	};
}
