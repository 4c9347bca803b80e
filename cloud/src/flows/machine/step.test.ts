/**
 * The machine in a world made of lists: whatever comes late, twice or in another order, and wherever a process dies
 * between two commits, a run does the same.
 */
import { type FlowDefinition, type Json, parseFlow } from "@errand/proto/flow";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ThreadEvent } from "./event.ts";
import { step } from "./step.ts";
import { beginThread, dueMs, graphAt, type Place, type Thread } from "./thread.ts";

interface Entry {
	thread: Thread;
	place: Place;
	parent: { id: string; turn: number; nth: number } | undefined;
	ended: { succeeded: boolean; output: Json } | undefined;
}

/** What is to happen next, in no order that holds. */
type Pending = { to: string; event: ThreadEvent } | { request: string };

/** How an action ends, by its request: the same whoever asks. */
type Outcome = (label: string, turn: number, body: Json) => "SUCCEEDED" | "FAILED";

class World {
	readonly threads = new Map<string, Entry>();
	readonly requests = new Map<string, { to: string; turn: number; body: Json; asked: number }>();
	readonly cancelled = new Set<string>();
	readonly log: string[] = [];
	#pending: Pending[] = [];
	nowMs = 1_000;
	readonly #definition: FlowDefinition;
	readonly #outcome: Outcome;

	constructor(definition: FlowDefinition, outcome: Outcome, document: Json) {
		this.#definition = definition;
		this.#outcome = outcome;
		const thread = beginThread({ state: definition.startAt, document, label: "", budget: 10_000, deadlineMs: null });
		this.threads.set("root", { thread, place: [], parent: undefined, ended: undefined });
		this.#pending.push({ to: "root", event: { kind: "look" } });
	}

	get root(): Entry {
		return this.threads.get("root") as Entry;
	}

	/** `pick`: which of so many comes next; `twice`: whether it comes again later; `forget`: the process dies before the commit. */
	run(pick: (count: number) => number, twice: () => boolean, forget: () => boolean): void {
		for (let left = 20_000; left > 0; left--) {
			if (this.#pending.length === 0 && !this.#passTime()) return;
			const [next] = this.#pending.splice(pick(this.#pending.length), 1);
			if (next === undefined) continue;
			if (twice()) this.#pending.push(next);
			if (forget()) this.#pending.push(next);
			else if ("request" in next) this.#ask(next.request);
			else this.tell(next.to, next.event);
		}
		throw new Error("the run does not end");
	}

	/** Nothing is on its way: the next timer. */
	#passTime(): boolean {
		const due = [...this.threads].flatMap(([id, { thread, place }]) => {
			const at = dueMs(graphAt(this.#definition, place), thread);
			return at === undefined ? [] : [{ id, at }];
		});
		const first = due.toSorted((a, b) => a.at - b.at)[0];
		if (first === undefined || this.root.ended !== undefined) return false;
		this.nowMs = Math.max(this.nowMs, first.at);
		this.#pending.push({ to: first.id, event: { kind: "look" } });
		return true;
	}

	#ask(key: string): void {
		const request = this.requests.get(key);
		if (request === undefined) return;
		request.asked++;
		const { to, turn, body } = request;
		const status = this.cancelled.has(key)
			? "FAILED"
			: this.#outcome(this.threads.get(to)?.thread.label ?? "", turn, body);
		const document = { action_id: key, status, details: { result: body } };
		this.#pending.push({ to, event: { kind: "action", turn, status, document } });
	}

	tell(id: string, event: ThreadEvent): void {
		const entry = this.threads.get(id);
		if (entry === undefined || entry.ended !== undefined) return;
		const situation = { graph: graphAt(this.#definition, entry.place), context: {}, seed: id, nowMs: this.nowMs };
		const { thread, effects } = step(situation, entry.thread, event);
		// What is stored is text.
		entry.thread = JSON.parse(JSON.stringify(thread)) as Thread;
		for (const effect of effects) {
			if (effect.do === "log") this.log.push(`${entry.thread.label} ${effect.code}`);
			else if (effect.do === "run-action") {
				const key = `${id} ${effect.turn}`;
				expect(this.requests.has(key), `${key} is asked for once`).toBe(false);
				this.requests.set(key, { to: id, turn: effect.turn, body: effect.body, asked: 0 });
				this.#pending.push({ request: key });
			} else if (effect.do === "cancel-action") this.cancelled.add(`${id} ${effect.turn}`);
			else if (effect.do === "branch") this.#branch(id, entry, effect);
			else if (effect.do === "cancel-branches") {
				for (const [other, { parent }] of this.threads)
					if (parent?.id === id && parent.turn === effect.turn)
						this.#pending.push({ to: other, event: { kind: "cancel", reason: effect.reason } });
			} else if (effect.do === "collect") {
				const outputs: Json[] = Array.from({ length: effect.total }, () => null);
				for (const { parent, ended } of this.threads.values())
					if (parent?.id === id && parent.turn === effect.turn && ended?.succeeded) outputs[parent.nth] = ended.output;
				this.#pending.push({ to: id, event: { kind: "outputs", turn: effect.turn, outputs } });
			} else if (effect.do === "end") {
				expect(entry.ended, `${id} ends once`).toBeUndefined();
				entry.ended = { succeeded: effect.outcome === "succeeded", output: effect.output };
				const { parent } = entry;
				if (parent)
					this.#pending.push({
						to: parent.id,
						event: { kind: "branch", turn: parent.turn, nth: parent.nth, trouble: effect.trouble },
					});
			}
		}
	}

	#branch(
		id: string,
		entry: Entry,
		effect: Extract<ReturnType<typeof step>["effects"][number], { do: "branch" }>,
	): void {
		const { turn, nth, of: state, document, label, budget } = effect;
		const child = `${id}/${turn}.${nth}`;
		expect(this.threads.has(child), `${child} begins once`).toBe(false);
		const graph = state.type === "Map" ? state.processor : state.branches[nth];
		const thread = beginThread({ state: graph?.startAt ?? "", document, label, budget, deadlineMs: null });
		const place: Place = [...entry.place, [state.name, state.type === "Map" ? 0 : nth]];
		this.threads.set(child, { thread, place, parent: { id, turn, nth }, ended: undefined });
		this.#pending.push({ to: child, event: { kind: "look" } });
	}
}

const action = (more: object) => ({
	Type: "Action",
	ActionUrl: "errand:compute",
	WaitTime: 600,
	ExceptionOnActionFailure: true,
	...more,
});

/** Steps in a row, each a state with its place in the names. */
const stepKinds = ["action", "pass", "wait", "map", "parallel", "retried", "caught"] as const;
const flow = fc.array(fc.constantFrom(...stepKinds), { minLength: 1, maxLength: 6 }).map((kinds) => {
	const states: Record<string, object> = {};
	for (const [n, kind] of kinds.entries()) {
		const onward = n + 1 < kinds.length ? { Next: `S${n + 1}` } : { End: true };
		const inner = (name: string) => ({
			StartAt: name,
			States: { [name]: action({ Parameters: { at: name }, End: true }) },
		});
		const table: Record<(typeof stepKinds)[number], object> = {
			action: action({ Parameters: { at: n, "seen.$": "$.n" }, ResultPath: `$.r${n}`, ...onward }),
			pass: { Type: "Pass", Parameters: { n }, ResultPath: `$.p${n}`, ...onward },
			wait: { Type: "Wait", Seconds: 30, ...onward },
			map: {
				Type: "Map",
				ItemsPath: "$.items",
				MaxConcurrency: 2,
				ItemProcessor: inner(`I${n}`),
				ToleratedFailureCount: 1,
				ResultPath: `$.m${n}`,
				...onward,
			},
			parallel: { Type: "Parallel", Branches: [inner(`A${n}`), inner(`B${n}`)], ResultPath: `$.b${n}`, ...onward },
			retried: action({
				Parameters: { at: n },
				Retry: [{ ErrorEquals: ["States.ALL"], IntervalSeconds: 1, MaxAttempts: 3 }],
				ResultPath: `$.r${n}`,
				...onward,
			}),
			caught: action({
				Parameters: { at: n },
				Catch: [{ ErrorEquals: ["States.ALL"], ResultPath: `$.e${n}`, Next: n + 1 < kinds.length ? `S${n + 1}` : "Z" }],
				ResultPath: `$.r${n}`,
				...(n + 1 < kinds.length ? { Next: `S${n + 1}` } : { Next: "Z" }),
			}),
		};
		states[`S${n}`] = table[kind];
	}
	if (kinds.at(-1) === "caught") states.Z = { Type: "Pass", Parameters: { z: 1 }, ResultPath: "$.z", End: true };
	return { StartAt: "S0", States: states };
});

function parsed(document: object): FlowDefinition {
	const { flow: definition, issues } = parseFlow(document);
	if (definition === undefined) throw new Error(JSON.stringify(issues));
	return definition;
}

/** A third of the actions fail, always the same. */
const mixed =
	(seed: number): Outcome =>
	(label, turn, body) => {
		const text = `${seed} ${label} ${turn} ${JSON.stringify(body)}`;
		let hash = 7;
		for (const letter of text) hash = (hash * 31 + letter.charCodeAt(0)) % 1_000_003;
		return hash % 3 === 0 ? "FAILED" : "SUCCEEDED";
	};

const document = { n: 1, items: ["a", "b", "c"] };

function undisturbed(definition: FlowDefinition, outcome: Outcome): World {
	const world = new World(definition, outcome, document);
	world.run(
		() => 0,
		() => false,
		() => false,
	);
	return world;
}

describe("a run of any flow", () => {
	test("PEG-1: is the same in whatever order, however often and wherever interrupted things come", () => {
		fc.assert(
			fc.property(flow, fc.nat(1000), fc.infiniteStream(fc.nat(0xffff)), (source, seed, stream) => {
				const definition = parsed(source);
				const outcome = mixed(seed);
				const reference = undisturbed(definition, outcome);
				const random = () => stream.next().value as number;
				const world = new World(definition, outcome, document);
				world.run(
					(count) => random() % count,
					() => random() % 5 === 0,
					() => random() % 7 === 0,
				);
				expect(world.root.ended?.succeeded).toBe(reference.root.ended?.succeeded);
				if (reference.root.ended?.succeeded) {
					expect(world.root.ended?.output).toEqual(reference.root.ended.output);
					expect([...world.requests.keys()].sort()).toEqual([...reference.requests.keys()].sort());
				}
			}),
			{ numRuns: 300 },
		);
	});

	test("ends when it is cancelled, and everything that it had under way is told", () => {
		fc.assert(
			fc.property(flow, fc.nat(60), fc.infiniteStream(fc.nat(0xffff)), (source, after, stream) => {
				const world = new World(parsed(source), () => "SUCCEEDED", document);
				let steps = 0;
				const random = () => stream.next().value as number;
				world.run(
					(count) => {
						if (steps++ === after) world.tell("root", { kind: "cancel", reason: "enough" });
						return random() % count;
					},
					() => false,
					() => false,
				);
				expect(world.root.ended).toBeDefined();
				for (const [key, { to }] of world.requests) {
					const { thread } = world.threads.get(to) as Entry;
					// Each request was answered, or cancelled.
					if (thread.waits.for === "action") expect(world.cancelled).toContain(key);
				}
				for (const { ended } of world.threads.values()) expect(ended).toBeDefined();
			}),
			{ numRuns: 200 },
		);
	});
});

describe("bounds", () => {
	const loop = parsed({
		StartAt: "A",
		States: {
			A: { Type: "Pass", Next: "B" },
			B: { Type: "Choice", Choices: [{ Variable: "$.n", NumericEquals: 2, Next: "C" }], Default: "A" },
			C: { Type: "Succeed" },
		},
	});

	test("a loop without end ends with its budget", () => {
		const world = undisturbed(loop, () => "SUCCEEDED");
		expect(world.root.ended?.succeeded).toBe(false);
		expect(world.root.thread.visit).toBe(10_000);
	});

	test("one step goes through a hundred states at most", () => {
		const thread = beginThread({ state: "A", document, label: "", budget: 10_000, deadlineMs: null });
		const stepped = step({ graph: loop, context: {}, seed: "", nowMs: 0 }, thread, { kind: "look" });
		expect(stepped.thread.visit).toBe(100);
		expect(dueMs(loop, stepped.thread)).toBe(0);
	});

	test("a state larger than a run may have is an error that can be caught", () => {
		const definition = parsed({
			StartAt: "Grow",
			States: {
				Grow: {
					Type: "ExpressionEval",
					Parameters: { "big.=": "big + big" },
					ResultPath: "$",
					Next: "Grow2",
				},
				Grow2: { Type: "Choice", Choices: [{ Variable: "$.big", StringEquals: "", Next: "End" }], Default: "Grow" },
				End: { Type: "Succeed" },
			},
		});
		const world = new World(definition, () => "SUCCEEDED", { big: "x".repeat(1000) });
		world.run(
			() => 0,
			() => false,
			() => false,
		);
		expect(world.root.ended?.succeeded).toBe(false);
		expect(world.log.at(-1)).toContain("ExpressionEvalFailed");
	});
});
