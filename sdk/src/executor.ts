/** What a user holds: submits functions to one endpoint, in one task group, and gives futures. */
import type { TaskGroupId } from "@errand/proto";
import type { ResourceSpecification } from "@errand/proto/rest";
import { Client, type ClientOptions } from "./client.ts";
import { type AnyFunction, capture } from "./function/capture.ts";
import type { RemoteFunction } from "./function/remote-function.ts";
import { TaskFuture } from "./future.ts";
import { type TaskOptions, toSpecification } from "./resources.ts";
import type { Feed } from "./results/feed.ts";
import { TaskGroup } from "./results/group.ts";
import type { ResultsOptions } from "./results/results.ts";
import { isCommandResult, toShellResult } from "./serialize/result.ts";
import { Session } from "./session.ts";
import { argumentsFrom, isIterable, type MapOptions, TaskMap } from "./task-map.ts";

interface ConnectionOptions extends Pick<ClientOptions, "cloudUrl" | "token" | "log"> {
	/** Instead of `cloudUrl`, `token` and `log`: shares registrations and names with others that use it. */
	client?: Client;
	/** For tests: how results are brought. */
	openFeed?: (options: ResultsOptions) => Feed;
}

export interface ExecutorOptions extends ConnectionOptions, TaskOptions {
	/** Name of one of your endpoints, or an id. */
	endpoint: string;
	/** Add to this group instead of a new one. */
	taskGroup?: string;
	/**
	 * Of an endpoint with a template: what its administrator lets you choose, by name. Each configuration has a process
	 * of its own there, which the first submit waits for. An endpoint without a template does not look at it.
	 */
	userEndpointConfig?: Readonly<Record<string, unknown>>;
	/** When a batch leaves although more waits. 2,000 tasks and 4 MiB unless told. */
	batch?: { items?: number; bytes?: number };
}

export interface ReloadOptions extends ConnectionOptions {
	taskGroup: string;
}

/** All futures of a group, in the order of their submission. `close` stops following those that have not ended. */
export type ReloadedTasks = TaskFuture<unknown>[] & AsyncDisposable & { close(): Promise<void> };

type Iterated<T> = Iterable<T> | AsyncIterable<T>;

/**
 * ```ts
 * await using executor = new Executor({ endpoint: "local" });
 * const sum = executor.submit((a: number, b: number) => a + b, 2, 3);
 * console.log(await sum);
 * ```
 * Nothing is sent before the first submit. Leaving the scope of `await using` (or `close()`) waits until everything
 * submitted has been accepted, not until it has ended: await the futures, or `drain()`. What has not ended then goes
 * on; `Executor.reload` finds it again.
 */
export class Executor implements AsyncDisposable {
	readonly client: Client;
	readonly #session: Session;
	readonly #resources: ResourceSpecification | undefined;

	/** `session` is for {@link Executor.with}. */
	constructor(options: ExecutorOptions, session?: Session) {
		this.client = session?.client ?? clientOf(options);
		this.#session =
			session ??
			new Session({
				client: this.client,
				endpoint: options.endpoint,
				taskGroup: options.taskGroup,
				userEndpointConfig: options.userEndpointConfig,
				batch: options.batch,
				openFeed: options.openFeed,
			});
		this.#resources = toSpecification(options);
	}

	/** Name or id, as it was given. */
	get endpoint(): string {
		return this.#session.endpoint;
	}

	/** The id by which these tasks are found again. Throws before the first task was accepted; see {@link ready}. */
	get taskGroup(): TaskGroupId {
		const id = this.#session.groupId;
		if (id !== undefined) return id;
		throw new Error("the task group is made with the first submit: await executor.ready(), or a future's `accepted`");
	}

	/** Finds the endpoint and makes the task group now, instead of with the first submit. Rejects with a CloudError. */
	async ready(): Promise<{ endpointId: string; taskGroup: TaskGroupId }> {
		const [group, endpointId] = await Promise.all([this.#session.group(), this.#session.endpointId()]);
		return { endpointId, taskGroup: group.id };
	}

	/** The same executor for tasks that ask for something else: `executor.with({ resources: { gpus: 1 } }).submit(…)`. */
	with(options: TaskOptions): Executor {
		return new Executor({ endpoint: this.endpoint, ...options }, this.#session);
	}

	/**
	 * Runs a function there. A plain function travels as its source text: what it uses from outside is refused here
	 * (CaptureError), as are arguments that cannot travel (SerializationError).
	 *
	 * An argument may be the future of another task: `executor.submit(b, executor.submit(a, x))` runs b with a's value
	 * when that is there, and rejects with a DependencyError when a fails.
	 */
	submit<Args extends readonly unknown[], Result>(
		fn: ((...args: Args) => Result) | RemoteFunction<Args, Result>,
		...args: OrFuture<NoInfer<Args>>
	): TaskFuture<Awaited<Result>>;
	submit(fn: RemoteFunction<readonly unknown[], unknown> | AnyFunction, ...args: unknown[]): TaskFuture<unknown> {
		return this.#session.submit(remoteOf(fn), args, this.#resources);
	}

	/**
	 * Runs a function for each item; with several sources, for each row of them side by side.
	 *
	 * ```ts
	 * for await (const y of executor.map((x: number) => x * x, [1, 2, 3])) console.log(y);
	 * executor.map((a: number, b: number) => a + b, [1, 2], [10, 20], { ordered: false });
	 * ```
	 */
	map<Args extends readonly unknown[], Result>(
		fn: ((...args: Args) => Result) | RemoteFunction<Args, Result>,
		...sources: [...MapSources<NoInfer<Args>>, options?: MapOptions]
	): TaskMap<Awaited<Result>>;
	map(fn: RemoteFunction<readonly unknown[], unknown> | AnyFunction, ...given: unknown[]): TaskMap<unknown> {
		const remote = remoteOf(fn);
		const options = isIterable(given.at(-1)) ? {} : ((given.pop() ?? {}) as MapOptions);
		const sources = given.filter(isIterable);
		if (sources.length === 0 || sources.length !== given.length) {
			throw new TypeError(`map: ${remote.name} needs one or more iterables of arguments, then perhaps options`);
		}
		const submit = (args: readonly unknown[]): TaskFuture<unknown> =>
			this.#session.submit(remote, args, this.#resources);
		return new TaskMap(argumentsFrom(sources), submit, options);
	}

	/** Asks that every task of the group stops; those that wait for the values of others are not sent. */
	async cancelAll(): Promise<void> {
		this.#session.cancelWaiting();
		await this.#session.sent();
		if (this.#session.groupId !== undefined) await this.client.cancelTasks({ taskGroup: this.#session.groupId });
	}

	/** Resolves when every task submitted so far has ended, well or not. */
	drain(): Promise<void> {
		return this.#session.drain();
	}

	/**
	 * Waits for the submits in flight (and those that wait for the values of other tasks), then ends the connection. Futures that have not settled are rejected with a
	 * ClosedError; their tasks go on. May be repeated.
	 */
	close(): Promise<void> {
		return this.#session.close();
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.close();
	}

	/**
	 * All futures of a group, finished or not: after a crash, or on another machine with the same login. The values of
	 * finished tasks come at once. Rejects with a CloudError when there is no such group.
	 */
	static async reload(options: ReloadOptions): Promise<ReloadedTasks> {
		const client = clientOf(options);
		const ids = await client.tasksOfGroup(options.taskGroup);
		let listed = false;
		const group = new TaskGroup({
			client,
			group: options.taskGroup as TaskGroupId,
			...(options.openFeed === undefined ? {} : { openFeed: options.openFeed }),
			onIdle: () => {
				if (listed) group.close();
			},
		});
		const futures = ids.map((id) => {
			const control = TaskFuture.open<unknown>(group, undefined);
			group.expect(id, {
				control,
				readResult: (value) => (isCommandResult(value) ? toShellResult(value) : value),
			});
			return control.future;
		});
		listed = true;
		if (group.size === 0) group.close();
		const close = async (): Promise<void> => group.close();
		return Object.assign(futures, { close, [Symbol.asyncDispose]: close });
	}
}

/** Each argument, or the future of a task that returns it. */
export type OrFuture<Args extends readonly unknown[]> = {
	[Index in keyof Args]: Args[Index] | TaskFuture<Args[Index]>;
};

/** One source for each parameter; the optional ones may be left out from the end. */
export type MapSources<Args extends readonly unknown[]> = { [Index in keyof Args]: Iterated<Args[Index]> };

function clientOf(options: ConnectionOptions): Client {
	const { client, cloudUrl, token, log } = options;
	if (client !== undefined) return client;
	return new Client({
		...(cloudUrl === undefined ? {} : { cloudUrl }),
		...(token === undefined ? {} : { token }),
		...(log === undefined ? {} : { log }),
	});
}

function remoteOf(
	fn: RemoteFunction<readonly unknown[], unknown> | AnyFunction,
): RemoteFunction<readonly unknown[], unknown> {
	return typeof fn === "function" ? capture(fn) : fn;
}
