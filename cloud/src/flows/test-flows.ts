/** A cloud for tests of flows: the operations on a real database, an engine, and an endpoint that a test plays. */
import { type EndpointId, type FunctionId, splitBuffer, unpack } from "@errand/proto";
import type { Json } from "@errand/proto/flow";
import type { RunDocument } from "@errand/proto/rest";
import { pino } from "pino";
import {
	account,
	openTestCloud,
	type ResultInit,
	settle,
	type TestCloud,
	type TestDatabase,
} from "../operations/test-cloud.ts";
import type { Caller } from "../policy/caller.ts";
import { readDefinition } from "./definition.ts";
import { type Engine, openEngine } from "./engine.ts";
import { openProviders } from "./providers/providers.ts";

const quiet = pino({ level: process.env.TEST_LOG ?? "silent" });

/** What a played function does with its arguments; throws to fail. Undefined: it never ends. */
export type Play = (...args: Json[]) => Json | undefined;

export class TestFlows {
	readonly cloud: TestCloud;
	readonly caller: Caller;
	readonly endpoint: EndpointId;
	readonly fn: FunctionId;
	/** Arguments of every task that the endpoint was given, in their order. */
	readonly played: Json[][] = [];
	play: Play = (...args) => args[0] ?? null;
	readonly #providers: readonly string[];
	#engine: Engine;
	#taken = 0;
	#pump: Promise<void> | undefined;
	#closed = false;

	private constructor(
		cloud: TestCloud,
		engine: Engine,
		who: { caller: Caller; endpoint: EndpointId; fn: FunctionId },
		providers: readonly string[],
	) {
		this.#providers = providers;
		this.cloud = cloud;
		this.#engine = engine;
		this.caller = who.caller;
		this.endpoint = who.endpoint;
		this.fn = who.fn;
	}

	static async open(from: TestDatabase, actionProviders: readonly string[] = []): Promise<TestFlows> {
		const cloud = await openTestCloud(from, { actionProviders });
		const caller = account();
		await cloud.database.query("insert into accounts (id, kind, username) values ($1, 'person', $2)", [
			caller.accountId,
			`u${caller.accountId}`,
		]);
		const who = await settle(cloud, caller);
		const flows = new TestFlows(cloud, await TestFlows.#open(cloud, actionProviders), who, actionProviders);
		flows.#pump = flows.#answer();
		return flows;
	}

	static #open({ database, operations, events }: TestCloud, providers: readonly string[]): Promise<Engine> {
		return openEngine({
			database,
			events,
			log: quiet,
			alone: true,
			parse: (document) => readDefinition(document).definition,
			providerOf: openProviders(providers).serving({ database, operations }),
		});
	}

	async stopEngine(): Promise<void> {
		await this.#engine.close();
	}

	async startEngine(): Promise<void> {
		this.#engine = await TestFlows.#open(this.cloud, this.#providers);
	}

	/** An Action that calls the played function with what `args` makes. */
	action(more: object, args: object = { "args.$": "$.args" }): object {
		return {
			Type: "Action",
			ActionUrl: "errand:compute",
			Parameters: { endpoint_id: this.endpoint, tasks: [{ function_id: this.fn, ...args }] },
			ExceptionOnActionFailure: true,
			WaitTime: 60,
			...more,
		};
	}

	async start(definition: object, body: { [key: string]: Json } = {}): Promise<string> {
		const flow = await this.cloud.operations.createFlow(this.caller, {
			title: "test",
			definition: definition as never,
			input_schema: {},
			subtitle: "",
			description: "",
			keywords: [],
			flow_viewers: [],
			flow_starters: [],
			flow_administrators: [],
			run_managers: [],
			run_monitors: [],
		});
		const run = await this.cloud.operations.startRun(
			this.caller,
			flow.id as never,
			{ body: body as never, tags: [], run_managers: [], run_monitors: [] },
			undefined,
		);
		return run.run_id;
	}

	/** The run when it has ended, or when it is as `matches` says. */
	async until(
		run: string,
		matches = (document: RunDocument) => document.completion_time !== null,
	): Promise<RunDocument> {
		const deadline = Date.now() + 20_000;
		for (;;) {
			const document = await this.cloud.operations.getRun(this.caller, run as never);
			if (matches(document)) return document;
			if (Date.now() > deadline) throw new Error(`the run is still ${JSON.stringify(document)}`);
			await new Promise((done) => setTimeout(done, 5));
		}
	}

	async outputOf(run: string): Promise<Json> {
		const document = await this.until(run);
		if (document.status !== "SUCCEEDED") throw new Error(`the run ${JSON.stringify(document.details)}`);
		return (document.details.details as { output: Json }).output;
	}

	async codes(run: string): Promise<string[]> {
		const { items } = await this.cloud.operations.runLog(this.caller, run as never, { limit: 100, reverse: false });
		return items.map((entry) => entry.code);
	}

	async close(): Promise<void> {
		this.#closed = true;
		await this.#engine.close();
		// The pump looks whether it is over when something comes.
		await this.cloud.bus.publish("", "wake", new Uint8Array(), { contentType: "text/plain" });
		await this.#pump;
		await this.cloud.close();
	}

	async #answer(): Promise<void> {
		const { bus } = this.cloud;
		while (!this.#closed) {
			const tasks = bus.tasks(this.endpoint).slice(this.#taken);
			this.#taken += tasks.length;
			const results = tasks.flatMap((task): ResultInit[] => {
				const [positional = ""] = unpack(new TextDecoder().decode(task.payload));
				const args = JSON.parse(splitBuffer(positional).content) as Json[];
				this.played.push(args);
				try {
					const value = this.play(...args);
					if (value === undefined) return [];
					return [{ taskId: task.id, outcome: { case: "value", value: Buffer.from(`11\n${JSON.stringify(value)}`) } }];
				} catch (cause) {
					const failure = { code: "FUNCTION_FAILED", name: "Error", message: (cause as Error).message };
					return [{ taskId: task.id, outcome: { case: "failure", value: failure } }];
				}
			});
			if (results.length > 0) await bus.results(this.endpoint, results);
			const seen = bus.sent.length;
			await bus.until(() => bus.sent.length > seen || this.#closed);
		}
	}
}
