/**
 * The cloud's REST interface, typed: one method a route. Shapes are those of `@errand/proto/rest`; errors are
 * CloudErrors. `Executor` is built on this; use it directly to manage endpoints, functions, tasks and accounts.
 */
import {
	type EndpointId,
	type FunctionId,
	parseId,
	type TaskGroupId,
	type TaskId,
	type TaskState,
} from "@errand/proto";
import * as rest from "@errand/proto/rest";
import * as z from "zod";
import { platform } from "#platform";
import { staticTokenSource, type TokenSource } from "./auth/token-source.ts";
import { AuthPolicies } from "./auth-policies.ts";
import { clientRuntime } from "./client-runtime.ts";
import { CloudError } from "./errors.ts";
import { FlowService } from "./flow-service.ts";
import { type Log, silentLog } from "./log.ts";
import { Rest, type RestOptions } from "./rest.ts";
import { Sharing } from "./sharing.ts";
import { Transfers } from "./transfers.ts";

export interface ClientOptions extends Omit<RestOptions, "tokens"> {
	/**
	 * Where the cloud is. Without it: the token source's, then the one that was logged in to, then
	 * http://localhost:5000.
	 */
	cloudUrl?: string;
	/** A bearer token, or what gives tokens. Without it, in Node: what `errand login` stored. */
	token?: string | TokenSource;
}

export interface PageOptions {
	/** Rows in a page, 1 to 1,000. */
	limit?: number;
	cursor?: string;
}

export interface TaskFilter extends PageOptions {
	states?: readonly TaskState[];
	/** Ids. */
	endpoint?: string;
	function?: string;
	group?: string;
	since?: Date;
	until?: Date;
	/** First characters of the task's id, at least 4. */
	idPrefix?: string;
}

export interface AuditFilter extends PageOptions {
	/** An account's id or username. */
	actor?: string;
	/** The id of what was changed. */
	thing?: string;
	/** `endpoint.share`, or `endpoint` for all that was done to endpoints. */
	action?: string;
	since?: Date;
	until?: Date;
}

/** One document of `POST /v2/batch_status`; `result` is one serialized buffer. */
export interface PublicTaskDocument {
	task_id: string;
	status: string;
	result?: string | undefined;
	exception?: string | undefined;
	reason?: string | undefined;
}

const publicTask = z.looseObject({
	task_id: z.string(),
	status: z.string(),
	result: z.string().optional(),
	exception: z.string().optional(),
	reason: z.string().optional(),
});
const batchStatus = z.object({ results: z.record(z.string(), publicTask) });
const publicGroup = z.object({ tasks: z.array(z.object({ id: z.uuid() })) });
const groupCreated = z.object({ task_group_id: z.uuid() });
const retried = z.object({ task_id: z.uuid() });

const pages = {
	functions: rest.page(rest.functionSummary),
	endpoints: rest.page(rest.endpointSummary),
	tasks: rest.page(rest.taskSummary),
	audit: rest.page(rest.auditEntry),
	userEndpoints: rest.page(rest.userEndpointSummary),
};

/** What becomes of the tasks that somebody asked to cancel. */
export type Cancelled = z.infer<typeof rest.cancelled>;
export type TaskOutput = z.infer<typeof rest.taskOutput>;
export type FunctionDocument = z.infer<typeof rest.functionDocument>;
export type AccountCreation = z.input<typeof rest.accountCreation>;
export type ClientCreated = z.infer<typeof rest.clientCreated>;

const id = encodeURIComponent;

export class Client {
	readonly log: Log;
	/** Groups of people, and whom endpoints are shared with. */
	readonly sharing: Sharing;
	/** Flows and their runs. */
	readonly flows: FlowService;
	/** Files between collections of endpoints. */
	readonly transfers: Transfers;
	/** What endpoints ask of the logins of whoever submits to them. */
	readonly authPolicies: AuthPolicies;
	readonly #rest: Rest;
	/** Endpoint names are stable: each is asked for once. */
	readonly #endpointIds = new Map<string, Promise<EndpointId>>();
	/** Packed code → its registration: each code is registered once by a client. */
	readonly #functionIds = new Map<string, Promise<FunctionId>>();

	constructor(options: ClientOptions = {}) {
		const { token, cloudUrl, ...others } = options;
		this.log = options.log ?? silentLog;
		this.#rest = new Rest({ ...others, tokens: tokenSource(token, cloudUrl) });
		this.sharing = new Sharing(this.#rest);
		this.flows = new FlowService(this.#rest);
		this.transfers = new Transfers(this.#rest, (endpoint) => this.resolveEndpoint(endpoint));
		this.authPolicies = new AuthPolicies(this.#rest);
	}

	/** Without a slash at the end. */
	get cloudUrl(): string {
		return this.#rest.cloudUrl;
	}

	/** For connections that are not REST: the result stream. */
	accessToken(options?: { forceRefresh?: boolean }): Promise<string> {
		return this.#rest.accessToken(options);
	}

	/** How a client finds its way; asked without a token. */
	cloud(): Promise<rest.CloudDocument> {
		return this.#rest.json({ method: "GET", path: "/v1/cloud", anonymous: true }, rest.cloudDocument);
	}

	whoami(): Promise<rest.Whoami> {
		return this.#rest.json({ method: "GET", path: "/v1/whoami" }, rest.whoami);
	}

	// ── functions ──

	async registerFunction(registration: rest.FunctionRegistration): Promise<FunctionId> {
		const body = await this.#rest.json(
			{ method: "POST", path: "/v3/functions", body: registration, patient: true },
			rest.functionRegistered,
		);
		return body.function_uuid as FunctionId;
	}

	/** As {@link registerFunction}, but the same code is registered once by this client, whoever asks. */
	ensureFunction(registration: rest.FunctionRegistration): Promise<FunctionId> {
		return remember(this.#functionIds, registration.function_code, () => this.registerFunction(registration));
	}

	getFunction(functionId: string): Promise<FunctionDocument> {
		return this.#rest.json({ method: "GET", path: `/v2/functions/${id(functionId)}` }, rest.functionDocument);
	}

	listFunctions(options: PageOptions = {}): Promise<rest.Page<rest.FunctionSummary>> {
		return this.#rest.json({ method: "GET", path: "/v1/functions", query: { ...options } }, pages.functions);
	}

	async deleteFunction(functionId: string): Promise<void> {
		await this.#rest.done({ method: "DELETE", path: `/v2/functions/${id(functionId)}` });
		for (const [code, known] of this.#functionIds) {
			if ((await known.catch(() => undefined)) === functionId) this.#functionIds.delete(code);
		}
	}

	// ── endpoints ──

	/** A new endpoint, or the caller's own of the same name. */
	registerEndpoint(registration: rest.EndpointRegistration): Promise<rest.EndpointRegistered> {
		return this.#rest.json({ method: "POST", path: "/v3/endpoints", body: registration }, rest.endpointRegistered);
	}

	updateEndpoint(endpointId: string, registration: rest.EndpointRegistration): Promise<rest.EndpointRegistered> {
		return this.#rest.json(
			{ method: "PUT", path: `/v3/endpoints/${id(endpointId)}`, body: registration },
			rest.endpointRegistered,
		);
	}

	/** By id, or by the name of one of the caller's own or that is shared with the caller. */
	getEndpoint(idOrName: string): Promise<rest.EndpointSummary> {
		return this.#rest.json({ method: "GET", path: `/v1/endpoints/${id(idOrName)}` }, rest.endpointSummary);
	}

	/** An id as it is; a name is asked for once and remembered. */
	resolveEndpoint(idOrName: string): Promise<EndpointId> {
		const known = parseId<EndpointId>(idOrName);
		if (known !== undefined) return Promise.resolve(known);
		return remember(this.#endpointIds, idOrName, async () => (await this.getEndpoint(idOrName)).id as EndpointId);
	}

	listEndpoints(options: PageOptions = {}): Promise<rest.Page<rest.EndpointSummary>> {
		return this.#rest.json({ method: "GET", path: "/v1/endpoints", query: { ...options } }, pages.endpoints);
	}

	/**
	 * What a manager runs, one for each account and configuration, the newest first: all for its owner and
	 * administrators, the caller's own for everybody else.
	 */
	listUserEndpoints(endpointId: string, options: PageOptions = {}): Promise<rest.Page<rest.UserEndpointSummary>> {
		const path = `/v1/endpoints/${id(endpointId)}/user-endpoints`;
		return this.#rest.json({ method: "GET", path, query: { ...options } }, pages.userEndpoints);
	}

	async deleteEndpoint(endpointId: string): Promise<void> {
		await this.#rest.done({ method: "DELETE", path: `/v2/endpoints/${id(endpointId)}` });
		this.#endpointIds.clear();
	}

	/** The endpoint's own credentials; the ones made before stop working. Not repeated when the reply is lost. */
	makeEndpointKey(endpointId: string): Promise<rest.EndpointKey> {
		return this.#rest.json(
			{ method: "POST", path: `/v1/endpoints/${id(endpointId)}/key`, once: true },
			rest.endpointKey,
		);
	}

	// ── tasks ──

	/**
	 * `idempotencyKey`: a repeat with the same key and body returns the same ids and runs nothing twice. A manager's
	 * process may have to be started first: that takes seconds.
	 */
	submit(
		endpointId: string,
		submission: rest.Submission,
		idempotencyKey: string = globalThis.crypto.randomUUID(),
	): Promise<rest.Submitted> {
		return this.#rest.json(
			{
				method: "POST",
				path: `/v3/endpoints/${id(endpointId)}/submit`,
				body: { user_runtime: clientRuntime(), ...submission },
				idempotencyKey,
				patient: true,
			},
			rest.submitted,
		);
	}

	getTask(taskId: string): Promise<rest.TaskDocument> {
		return this.#rest.json({ method: "GET", path: `/v1/tasks/${id(taskId)}` }, rest.taskDocument);
	}

	/** What a task waits for, in one word and one sentence. */
	explainTask(taskId: string): Promise<rest.Explanation> {
		return this.#rest.json({ method: "GET", path: `/v1/tasks/${id(taskId)}/explanation` }, rest.explanation);
	}

	/** Newest first. */
	listTasks(filter: TaskFilter = {}): Promise<rest.Page<rest.TaskSummary>> {
		const { states, since, until, idPrefix, ...others } = filter;
		const query = {
			...others,
			state: states,
			since: since?.toISOString(),
			until: until?.toISOString(),
			id_prefix: idPrefix,
		};
		return this.#rest.json({ method: "GET", path: "/v1/tasks", query }, pages.tasks);
	}

	/** Every task of the filter, page after page. */
	async *eachTask(filter: Omit<TaskFilter, "cursor"> = {}): AsyncGenerator<rest.TaskSummary, void> {
		let cursor: string | null = null;
		do {
			const page: rest.Page<rest.TaskSummary> = await this.listTasks(cursor === null ? filter : { ...filter, cursor });
			yield* page.items;
			cursor = page.next_cursor;
		} while (cursor !== null);
	}

	/** Status and result of many tasks in one request, as the public interface has them; by task id. */
	async batchStatus(taskIds: readonly string[]): Promise<Record<string, PublicTaskDocument>> {
		const body = await this.#rest.json(
			{ method: "POST", path: "/v2/batch_status", body: { task_ids: taskIds } },
			batchStatus,
		);
		return body.results;
	}

	/** May be repeated: a task that has ended is told as finished. */
	cancelTask(taskId: string): Promise<Cancelled> {
		return this.#rest.json({ method: "POST", path: `/v1/tasks/${id(taskId)}/cancel` }, rest.cancelled);
	}

	/** Many tasks (at most 10,000 ids), a whole group, or all on an endpoint (by its id) that the caller looks after. */
	cancelTasks(what: { taskIds?: readonly string[]; taskGroup?: string; endpoint?: string }): Promise<Cancelled> {
		const body = { task_ids: what.taskIds, task_group_id: what.taskGroup, endpoint_id: what.endpoint };
		return this.#rest.json({ method: "POST", path: "/v1/tasks/cancel", body }, rest.cancelled);
	}

	/** A new task with the same function, arguments and resources, in the same group. */
	async retryTask(taskId: string): Promise<TaskId> {
		const idempotencyKey = globalThis.crypto.randomUUID();
		const path = `/v1/tasks/${id(taskId)}/retry`;
		const body = await this.#rest.json({ method: "POST", path, idempotencyKey, once: true }, retried);
		return body.task_id as TaskId;
	}

	/** What is kept of a task's output, from an offset in bytes. */
	taskOutput(taskId: string, stream: "stdout" | "stderr", offsetBytes = 0): Promise<TaskOutput> {
		const query = { stream, offset: offsetBytes };
		return this.#rest.json(
			{ method: "GET", path: `/v1/tasks/${id(taskId)}/output`, query, patient: true },
			rest.taskOutput,
		);
	}

	async createTaskGroup(): Promise<TaskGroupId> {
		const body = await this.#rest.json({ method: "POST", path: "/v1/task-groups" }, groupCreated);
		return body.task_group_id as TaskGroupId;
	}

	/** The ids of all tasks of a group. */
	async tasksOfGroup(group: string): Promise<TaskId[]> {
		const body = await this.#rest.json({ method: "GET", path: `/v2/taskgroup/${id(group)}` }, publicGroup);
		return body.tasks.map((task) => task.id as TaskId);
	}

	// ── values by reference ──

	/** Stores bytes under their SHA-256 (hexadecimal); the cloud checks it. May be repeated. */
	putBlob(sha256: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
		return this.#rest.done({ method: "PUT", path: `/v1/blobs/${id(sha256)}`, bytes, patient: true });
	}

	getBlob(sha256: string): Promise<Uint8Array<ArrayBuffer>> {
		return this.#rest.bytes({ method: "GET", path: `/v1/blobs/${id(sha256)}`, patient: true });
	}

	/** Whether the cloud has it and this caller may refer to it. */
	async hasBlob(sha256: string): Promise<boolean> {
		try {
			await this.#rest.done({ method: "HEAD", path: `/v1/blobs/${id(sha256)}`, patient: true });
			return true;
		} catch (error) {
			if (error instanceof CloudError && error.httpStatus === 404) return false;
			throw error;
		}
	}

	// ── accounts ──

	/** Administrators only. */
	createAccount(account: AccountCreation): Promise<rest.AccountSummary> {
		return this.#rest.json({ method: "POST", path: "/v1/accounts", body: account, once: true }, rest.accountSummary);
	}

	/** Administrators only. */
	listAccounts(options: PageOptions = {}): Promise<rest.Page<rest.AccountSummary>> {
		const accounts = rest.page(rest.accountSummary);
		return this.#rest.json({ method: "GET", path: "/v1/accounts", query: { ...options } }, accounts);
	}

	/** Makes an account an administrator of the cloud, or ends that. Administrators only; one always stays. */
	setAdministrator(account: string, admin: boolean): Promise<void> {
		return this.#rest.done({ method: "PUT", path: `/v1/accounts/${id(account)}/admin`, body: { admin } });
	}

	/** Who did what, newest first. Administrators only. */
	readAudit(filter: AuditFilter = {}): Promise<rest.Page<rest.AuditEntry>> {
		const query = { ...filter, since: filter.since?.toISOString(), until: filter.until?.toISOString() };
		return this.#rest.json({ method: "GET", path: "/v1/audit", query }, pages.audit);
	}

	/** A service account for programs; its secret is shown this once. */
	createClient(name: string): Promise<ClientCreated> {
		return this.#rest.json({ method: "POST", path: "/v1/clients", body: { name }, once: true }, rest.clientCreated);
	}
}

function tokenSource(token: string | TokenSource | undefined, cloudUrl: string | undefined): TokenSource {
	if (typeof token === "string") {
		return staticTokenSource(cloudUrl ?? platform.defaultCloudUrl(), token);
	}
	if (token === undefined) return platform.storedTokens(cloudUrl);
	if (cloudUrl === undefined) return token;
	return { cloudUrl, accessToken: (options) => token.accessToken(options) };
}

/** One promise a key; one that failed is forgotten, so that the next asks again. */
function remember<Value>(known: Map<string, Promise<Value>>, key: string, ask: () => Promise<Value>): Promise<Value> {
	const found = known.get(key);
	if (found !== undefined) return found;
	const asked = ask();
	known.set(key, asked);
	asked.catch(() => known.delete(key));
	return asked;
}
