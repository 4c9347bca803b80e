/** Tells the person who waits why a task does not start: once for each reason, and again when the reason changes. */
import { isFinal, type TaskId } from "@errand/proto";
import type { EndpointSummary, Explanation, TaskDocument } from "@errand/proto/rest";
import type { Client } from "../src/index.ts";
import type { Context } from "./context.ts";
import { waitsForEndpoint } from "./endpoint-view.ts";
import { printable } from "./table.ts";

/** The first question; a task that starts at once is none. */
const firstLookMs = 2_000;
/** Questions become rarer: a queue of hours is no news every second. */
const growth = 1.5;
const rarestLookMs = 30_000;
/** What is over before anybody can read it is said only when it lasts. */
const passing = { words: new Set<string>(["delivery", "worker-starting"]), afterMs: 10_000 };

type Waiting = Pick<TaskDocument, "id" | "state" | "endpoint_id" | "resources">;

export class WaitingNotes {
	readonly #context: Pick<Context, "note" | "now" | "pause">;
	readonly #client: Client;
	/** What was said last of an endpoint and what is asked of it: tasks that ask for the same wait for the same. */
	readonly #said = new Map<string, string>();
	readonly #askedMs = new Map<string, number>();

	constructor(context: Pick<Context, "note" | "now" | "pause">, client: Client) {
		this.#context = context;
		this.#client = client;
	}

	/** BAL-13: said at once, without asking. */
	offline(endpoint: EndpointSummary, task: Omit<Waiting, "state" | "id">): void {
		this.#context.note(waitsForEndpoint(endpoint, this.#context.now()));
		this.#said.set(keyOf(task), "absent");
	}

	/** Asks why this task waits, unless that was asked of its like a moment ago, and says what is new. */
	async look(task: Waiting): Promise<void> {
		if (isFinal(task.state)) return;
		const key = keyOf(task);
		const nowMs = this.#context.now();
		if (nowMs - (this.#askedMs.get(key) ?? Number.NEGATIVE_INFINITY) < firstLookMs) return;
		this.#askedMs.set(key, nowMs);
		// What cannot be asked is not said: whoever waits has an eye on the task itself.
		const told = await this.#client.explainTask(task.id).catch(() => undefined);
		if (told === undefined) return;
		const news = newsOf(told, nowMs);
		if (news === undefined || this.#said.get(key) === news) return;
		this.#said.set(key, news);
		const trouble = told.trouble === null || told.word === "paused" ? "" : `\nTrouble there: ${told.trouble}`;
		const sentence = told.word === null ? told.sentence : `Waiting (${told.word}): ${told.sentence}`;
		this.#context.note(printable(sentence + trouble));
	}

	/** Looks until the task has ended or `stop` is called. */
	watch(id: TaskId): { stop(): void } {
		const stopped = Promise.withResolvers<void>();
		let going = true;
		const rounds = async (): Promise<void> => {
			for (let pauseMs = firstLookMs; ; pauseMs = Math.min(pauseMs * growth, rarestLookMs)) {
				await this.#context.pause(pauseMs, stopped.promise);
				if (!going) return;
				const task = await this.#client.getTask(id);
				if (!going || isFinal(task.state)) return;
				await this.look(task);
			}
		};
		rounds().catch(() => undefined);
		return {
			stop() {
				going = false;
				stopped.resolve();
			},
		};
	}
}

const keyOf = ({ endpoint_id, resources }: Pick<Waiting, "endpoint_id" | "resources">): string =>
	`${endpoint_id} ${JSON.stringify(resources)}`;

/** What would be said, in a word; undefined when there is nothing to say. */
function newsOf({ word, endpoint_status, since, trouble }: Explanation, nowMs: number): string | undefined {
	if (endpoint_status === "offline") return "absent";
	if (word === null) return undefined;
	if (trouble !== null && word !== "paused") return `${word} ${trouble}`;
	return passing.words.has(word) && nowMs - Date.parse(since) < passing.afterMs ? undefined : word;
}
