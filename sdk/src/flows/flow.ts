/** Flows written in TypeScript: each method adds a step after those before it, and `build` gives the document. */
import { formatPath, parseFlow } from "@errand/proto/flow";
import type { Rule } from "./condition.ts";
import { type Given, type InputFields, objectSchema, type Place } from "./input.ts";
import { entryOf, parametersOf, pathOf, type Reference, reference, type Value } from "./reference.ts";
import { Names, resultPath, type StateDocument, States } from "./states.ts";

/** What `errand flow create` and the REST interface take. */
export interface FlowDocument {
	readonly title: string;
	readonly definition: { readonly StartAt: string; readonly States: Readonly<Record<string, StateDocument>> };
	readonly input_schema: Readonly<Record<string, unknown>>;
}

/** How an action ended, as its step leaves it in the state. */
export interface ActionResult<Details> {
	readonly action_id: string;
	readonly status: string;
	readonly details: Details;
}

/** What a step may name: the input, what steps before it left, and what the service says of the run. */
export interface FlowScope<Input, Steps> {
	readonly input: Reference<Input>;
	readonly steps: { readonly [Name in keyof Steps]: Reference<Steps[Name]> };
	readonly context: Reference<RunContext>;
}

interface RunContext {
	flow_id: string;
	run_id: string;
	username: string;
	email: string;
	user_id: string;
}

/** What a step is told, directly or by what there is before it. */
type Told<Input, Steps, T> = T | ((scope: FlowScope<Input, Steps>) => T);

/** Steps that are added to the builder they are given. */
type Write<Input, Steps> = (then: FlowBuilder<Input, Steps>) => unknown;

interface RetryOptions {
	/** Repeats after the first try. */
	attempts: number;
	/** Before the first repeat, in seconds (1); each later one waits `factor` (2) times as long, `maxSeconds` at most. */
	seconds?: number;
	factor?: number;
	maxSeconds?: number;
	errors?: readonly string[];
}

export interface FailureOptions<Input, Steps> {
	/** All tries together, in seconds. */
	timeoutSeconds?: number;
	retry?: RetryOptions;
	/** Instead of ending the run as failed; the error is at `input.error` there. What follows the step follows these, too. */
	onError?: Write<Input & { error: { Error: string; Cause: string } }, Steps>;
}

export interface ActionOptions<Input, Steps> extends FailureOptions<Input, Steps> {
	/** One try, in seconds (a week). */
	waitSeconds?: number;
	/** False: a failed action is a result like another. */
	failureIsError?: boolean;
}

interface ComputeBody {
	endpoint: Value<string>;
	/** Id of a registered function. */
	function: Value<string>;
	args?: readonly unknown[] | Reference<readonly unknown[]>;
	kwargs?: Readonly<Record<string, unknown>> | Reference<object>;
	/** For the endpoint's template. */
	config?: Readonly<Record<string, unknown>>;
	/** `num_nodes`, `ranks_per_node`, … */
	resources?: Readonly<Record<string, unknown>>;
}

interface TransferBody {
	from: Value<Place>;
	to: Value<Place>;
	recursive?: Value<boolean>;
	/** Other fields of a transfer: `sync_level`, `verify_checksum`, … */
	more?: Readonly<Record<string, unknown>>;
}

const week = 7 * 24 * 3600;

/**
 * ```ts
 * const scan = flow("Reconstruct", { raw: input.place(), endpoint: input.endpoint() })
 * 	.compute("List", ({ input }) => ({ endpoint: input.endpoint, function: listId, args: [input.raw.path] }))
 * 	.build();
 * ```
 */
export function flow<Fields extends InputFields>(
	title: string,
	fields: Fields,
	options: { comment?: string; timeoutSeconds?: number } = {},
): FlowBuilder<Given<Fields>, object> {
	const names = new Names();
	for (const name of Object.keys(fields)) names.take(name);
	return new FlowBuilder(new States(names), { title, schema: objectSchema(fields), ...options });
}

interface Head {
	title: string;
	schema: Readonly<Record<string, unknown>>;
	comment?: string;
	timeoutSeconds?: number;
}

export class FlowBuilder<Input, Steps> {
	readonly #states: States;
	readonly #head: Head | undefined;
	readonly #scope: FlowScope<Input, Steps>;
	#built: FlowDocument | undefined;

	constructor(states: States, head?: Head) {
		this.#states = states;
		this.#head = head;
		const whole = reference<Input>([]);
		this.#scope = {
			input: whole,
			steps: whole as unknown as FlowScope<Input, Steps>["steps"],
			context: reference<RunContext>(["_context"]),
		};
	}

	/** Any action provider: its address and the action's body. */
	action<Name extends string, Details = unknown>(
		name: Name,
		told: Told<Input, Steps, { url: string; body: Readonly<Record<string, unknown>>; scope?: string }>,
		options: ActionOptions<Input, Steps> = {},
	): FlowBuilder<Input, Steps & Record<Name, ActionResult<Details>>> {
		const { url, body, scope } = this.#tell(told);
		this.#fallible(name, options, {
			Type: "Action",
			ActionUrl: url,
			...(scope !== undefined && { ActionScope: scope }),
			Parameters: parametersOf(body),
			WaitTime: options.waitSeconds ?? week,
			ExceptionOnActionFailure: options.failureIsError ?? true,
		});
		return this.#now();
	}

	/** A registered function on an endpoint; its value is `details.result[0]`. */
	compute<Name extends string, Result = unknown>(
		name: Name,
		told: Told<Input, Steps, ComputeBody>,
		options: ActionOptions<Input, Steps> = {},
	): FlowBuilder<Input, Steps & Record<Name, ActionResult<{ result: readonly Result[] }>>> {
		const { endpoint, function: id, args, kwargs, config, resources } = this.#tell(told);
		const body = {
			endpoint_id: endpoint,
			...(config && { user_endpoint_config: config }),
			...(resources && { resource_specification: resources }),
			tasks: [{ function_id: id, ...(args && { args }), ...(kwargs && { kwargs }) }],
		};
		return this.action<Name, { result: readonly Result[] }>(name, { url: "errand:compute", body }, options);
	}

	/** Files from one place to another. */
	transfer<Name extends string>(
		name: Name,
		told: Told<Input, Steps, TransferBody>,
		options: ActionOptions<Input, Steps> = {},
	): FlowBuilder<Input, Steps & Record<Name, ActionResult<{ files_transferred: number; bytes_transferred: number }>>> {
		const { from, to, recursive, more } = this.#tell(told);
		const body = {
			...more,
			source_endpoint: (from as Place).id,
			destination_endpoint: (to as Place).id,
			DATA: [
				{
					source_path: (from as Place).path,
					destination_path: (to as Place).path,
					...(recursive !== undefined && { recursive }),
				},
			],
		};
		return this.action<Name, { files_transferred: number; bytes_transferred: number }>(
			name,
			{ url: "errand:transfer", body },
			options,
		);
	}

	/** Values from what there is. */
	compose<Name extends string, T extends object>(
		name: Name,
		told: Told<Input, Steps, { readonly [Key in keyof T]: Value<T[Key]> }>,
	): FlowBuilder<Input, Steps & Record<Name, T>> {
		this.#states.add(name, {
			Type: "ExpressionEval",
			Parameters: parametersOf(this.#tell(told)),
			ResultPath: resultPath(name),
		});
		return this.#now();
	}

	/** A pause of so many seconds, or until a time. */
	wait(name: string, told: Told<Input, Steps, number | Date | Reference<number>>): this {
		const until = this.#tell(told);
		const path = pathOf(until);
		const target = path
			? { SecondsPath: formatPath(path) }
			: until instanceof Date
				? { Timestamp: until.toISOString() }
				: { Seconds: until };
		this.#states.add(name, { Type: "Wait", ...target });
		return this;
	}

	/** The steps of the first rule that holds, else `otherwise`; then both go on with what follows. */
	choice(
		name: string,
		told: Told<Input, Steps, readonly (readonly [Rule, Write<Input, Steps>])[]>,
		otherwise: Write<Input, Steps> = () => undefined,
	): this {
		const rules = this.#tell(told).map(([rule, write]) => ({ choice: { ...rule } as StateDocument, write }));
		const state: StateDocument = { Type: "Choice", Choices: rules.map(({ choice }) => choice) };
		this.#states.place(name, state);
		for (const { choice, write } of rules) this.#branch((next) => Object.assign(choice, { Next: next }), write);
		this.#branch((next) => Object.assign(state, { Default: next }), otherwise);
		return this;
	}

	/** The same steps for each item, with `input.item`, `input.index` and `input.given`; the value is a list of their states. */
	map<Name extends string, Item, Shared extends object = object>(
		name: Name,
		told: Told<
			Input,
			Steps,
			{
				items: Value<readonly Item[]>;
				/** What every item's steps may name besides, as `input.given`. */
				given?: { readonly [Key in keyof Shared]: Value<Shared[Key]> };
				/** So many at a time; as many as the service lets unless told. */
				concurrency?: number;
				/** So many items may fail, or such a part of them in percent. */
				tolerate?: { count?: number; percent?: number };
			}
		>,
		each: Write<{ item: Item; index: number; given: Shared }, object>,
		options: FailureOptions<Input, Steps> = {},
	): FlowBuilder<Input, Steps & Record<Name, readonly Record<string, unknown>[]>> {
		const { items, given, concurrency, tolerate = {} } = this.#tell(told);
		const path = pathOf(items);
		const [key, value] = entryOf("Items", items);
		const own = new Names(["item", "index", "given"], this.#states.names);
		this.#fallible(name, options, {
			Type: "Map",
			...(path ? { ItemsPath: formatPath(path) } : { [key]: value }),
			ItemSelector: parametersOf({
				item: reference(["_context", "map", "item"]),
				index: reference(["_context", "map", "index"]),
				...(given && { given }),
			}),
			...(concurrency !== undefined && { MaxConcurrency: concurrency }),
			...(tolerate.count !== undefined && { ToleratedFailureCount: tolerate.count }),
			...(tolerate.percent !== undefined && { ToleratedFailurePercentage: tolerate.percent }),
			ItemProcessor: graphOf(own, each),
		});
		return this.#now();
	}

	/** Branches at once, each with the state as it is here; the value is a list of what each left. */
	parallel<Name extends string>(
		name: Name,
		branches: readonly Write<Input, Steps>[],
		options: FailureOptions<Input, Steps> = {},
	): FlowBuilder<Input, Steps & Record<Name, readonly Record<string, unknown>[]>> {
		const graphs = branches.map((write) => graphOf(this.#states.names, write));
		this.#fallible(name, options, { Type: "Parallel", Branches: graphs });
		return this.#now();
	}

	/** The run, or the branch, ends here as failed. */
	fail(name: string, { error, cause }: { error: string; cause?: string }): this {
		this.#states.place(name, { Type: "Fail", Error: error, ...(cause !== undefined && { Cause: cause }) });
		return this;
	}

	/** The run, or the branch, ends here. */
	succeed(name: string): this {
		this.#states.place(name, { Type: "Succeed" });
		return this;
	}

	/** The document. Throws a TypeError that names every fault: `errand flow lint` finds none in what comes back. */
	build(): FlowDocument {
		if (!this.#head) throw new TypeError("only a whole flow is built, not the steps of a branch");
		if (this.#built) return this.#built;
		const { title, schema, comment, timeoutSeconds } = this.#head;
		const definition = {
			...(comment !== undefined && { Comment: comment }),
			...(timeoutSeconds !== undefined && { TimeoutSeconds: timeoutSeconds }),
			...this.#states.finish(),
		};
		const faults = parseFlow(definition).issues.filter(({ severity }) => severity === "error");
		if (faults.length > 0) throw new TypeError(faults.map(({ path, message }) => `${path}: ${message}`).join("; "));
		this.#built = { title, definition, input_schema: schema };
		return this.#built;
	}

	#tell<T>(told: Told<Input, Steps, T>): T {
		return typeof told === "function" ? (told as (scope: FlowScope<Input, Steps>) => T)(this.#scope) : told;
	}

	#fallible(name: string, options: FailureOptions<Input, Steps>, document: StateDocument): void {
		const { timeoutSeconds, retry, onError } = options;
		const caught: StateDocument = { ErrorEquals: ["States.ALL"], ResultPath: "$.error" };
		this.#states.add(name, {
			...document,
			ResultPath: resultPath(name),
			...(timeoutSeconds !== undefined && { TimeoutSeconds: timeoutSeconds }),
			...(retry && { Retry: [retryRule(retry)] }),
			...(onError && { Catch: [caught] }),
		});
		if (onError) this.#branch((next) => Object.assign(caught, { Next: next }), onError as Write<Input, Steps>);
	}

	/** Neither a rule nor a Catch can end the graph: a state does it. */
	#branch(enter: (next: string) => unknown, write: Write<Input, Steps>): void {
		this.#states.branch(
			(next) => enter(next ?? this.#states.end()),
			() => write(this),
		);
	}

	/** The same builder, knowing of the step that was added. */
	#now<Known>(): FlowBuilder<Input, Known> {
		return this as unknown as FlowBuilder<Input, Known>;
	}
}

function graphOf<Input, Steps>(names: Names, write: Write<Input, Steps>) {
	const states = new States(names);
	write(new FlowBuilder(states));
	return states.finish();
}

function retryRule({ attempts, seconds, factor, maxSeconds, errors }: RetryOptions): StateDocument {
	return {
		ErrorEquals: errors ?? ["States.ALL"],
		MaxAttempts: attempts,
		...(seconds !== undefined && { IntervalSeconds: seconds }),
		...(factor !== undefined && { BackoffRate: factor }),
		...(maxSeconds !== undefined && { MaxDelaySeconds: maxSeconds }),
	};
}
