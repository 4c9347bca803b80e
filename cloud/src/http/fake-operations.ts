/** For tests: what the service does, in memory and without rights but one account's own things. */
import { createHash } from "node:crypto";
import {
	type EndpointId,
	Fault,
	type FunctionId,
	newId,
	type TaskGroupId,
	type TaskId,
	type TransferId,
} from "@errand/proto";
import type {
	AccountGroupDocument,
	AuthPolicy,
	EndpointShare,
	EndpointSummary,
	StreamResult,
	TaskDocument,
	TransferDocument,
} from "@errand/proto/rest";
import { noTransferCounters } from "@errand/proto/rest";
import type { TokenVerifier } from "../identity/verify-token.ts";
import type { Operations } from "../operations/operations.ts";
import type { Caller } from "../policy/caller.ts";
import { fakeFlowOperations } from "./fake-flow-operations.ts";

/** A caller with everything but what is given. */
export function callerNamed(username: string, others: Partial<Caller> = {}): Caller {
	return {
		kind: "account",
		accountId: newId(),
		username,
		admin: false,
		operator: false,
		scopes: new Set(["https://auth.globus.org/scopes/facd7ccc-c5f4-42aa-916b-a0e270e2c2a9/all"]),
		tokenExpiresAtMs: Date.now() + 3_600_000,
		...others,
	};
}

/** Tokens are the keys of the map. */
export function verifierOf(tokens: Map<string, Caller>): TokenVerifier {
	return {
		async verify(token) {
			const caller = tokens.get(token);
			if (caller === undefined) throw new Fault("INVALID_AUTH_TOKEN", "The access token is not known.");
			return caller;
		},
	};
}

const now = "2026-01-02T03:04:05.000Z";
const unknown = (
	code: "TRANSFER_NOT_FOUND" | "TASK_NOT_FOUND" | "FUNCTION_NOT_FOUND" | "ENDPOINT_NOT_FOUND" | "TASK_GROUP_NOT_FOUND",
	id: string,
) => new Fault(code, `There is no ${id}.`, { args: [id] });

/** Results of groups by cursor, as the store has them. */
export class FakeResults {
	readonly #rows = new Map<TaskGroupId, { cursor: bigint; result: StreamResult }[]>();
	reads = 0;

	add(group: TaskGroupId, cursor: bigint, result: StreamResult): void {
		this.#rows.set(group, [...(this.#rows.get(group) ?? []), { cursor, result }]);
	}

	readonly after: Operations["resultsAfter"] = async (group, cursor, limit) => {
		this.reads++;
		const rows = (this.#rows.get(group) ?? []).filter((row) => row.cursor > cursor).slice(0, limit);
		return { cursors: rows.map((row) => row.cursor), results: rows.map((row) => row.result) };
	};
}

/** A result of a task of its own. */
export function someResult(value = "11\n1"): StreamResult {
	return { task_id: newId<TaskId>(), state: "success", value, stdout_bytes: 0, stderr_bytes: 0 };
}

export interface FakeOperations extends Operations {
	/** What was called, with its arguments after the caller. */
	readonly calls: [name: string, ...args: unknown[]][];
	readonly results: FakeResults;
	/** Who may follow which group. */
	readonly groups: Map<TaskGroupId, Caller["accountId"]>;
	/** Makes the next operation throw. */
	failNext(error: unknown): void;
	missing: string[];
}

export function createFakeOperations(): FakeOperations {
	const calls: FakeOperations["calls"] = [];
	const results = new FakeResults();
	const groups: FakeOperations["groups"] = new Map();
	const functions = new Map<FunctionId, { name: string; code: string }>();
	const endpoints = new Map<EndpointId, EndpointSummary>();
	const tasks = new Map<TaskId, TaskDocument>();
	const blobs = new Map<string, Buffer>();
	const accountGroups = new Map<string, AccountGroupDocument>();
	const authPolicies = new Map<string, AuthPolicy>();
	const shares = new Map<string, EndpointShare>();
	const failures: unknown[] = [];

	const called = (name: string, ...args: unknown[]): void => {
		calls.push([name, ...args]);
		if (failures.length > 0) throw failures.shift();
	};
	const endpointOf = (idOrName: string): EndpointSummary => {
		for (const row of endpoints.values()) if (row.id === idOrName || row.name === idOrName) return row;
		throw unknown("ENDPOINT_NOT_FOUND", idOrName);
	};
	const taskOf = (id: TaskId): TaskDocument => {
		const task = tasks.get(id);
		if (task === undefined) throw unknown("TASK_NOT_FOUND", id);
		return task;
	};
	const groupOf = (idOrName: string): AccountGroupDocument => {
		for (const row of accountGroups.values()) if (row.id === idOrName || row.name === idOrName) return row;
		throw new Fault("AUTH_GROUP_NOT_FOUND", `There is no ${idOrName}.`, { args: [idOrName] });
	};
	const authPolicyOf = (id: string): AuthPolicy => {
		const policy = authPolicies.get(id);
		if (policy === undefined) throw new Fault("POLICY_NOT_FOUND", `There is no ${id}.`, { args: [id] });
		return policy;
	};
	const place = (queue: string) => ({ connection_url: "amqp://u:p@127.0.0.1:5672/", exchange: queue, queue });
	const publish = (id: string, queue: string) => ({
		...place(queue),
		queue_publish_kwargs: {
			exchange: queue,
			routing_key: `${id}.${queue}`,
			mandatory: true as const,
			properties: { delivery_mode: 2 as const },
		},
	});
	const addTask = (group: TaskGroupId, endpoint: EndpointSummary, fn: FunctionId): TaskId => {
		const id = newId<TaskId>();
		tasks.set(id, {
			id,
			group_id: group,
			endpoint_id: endpoint.id,
			endpoint_name: endpoint.name,
			function_id: fn,
			function_name: functions.get(fn)?.name ?? "",
			state: "received",
			cancel_requested: false,
			created_at: now,
			finished_at: null,
			retry_of: null,
			failure: null,
			resources: null,
			version_skew: null,
			transitions: [],
			execution: null,
			stdout_bytes: 0,
			stderr_bytes: 0,
		});
		return id;
	};

	const transfers = new Map<string, TransferDocument>();
	const transferOf = (id: string): TransferDocument => {
		const found = transfers.get(id);
		if (found === undefined) throw unknown("TRANSFER_NOT_FOUND", id);
		return found;
	};

	return {
		...fakeFlowOperations(called),
		calls,
		results,
		groups,
		missing: [],
		failNext: (error) => void failures.push(error),

		async registerFunction(_caller, input) {
			called("registerFunction", input);
			const id = newId<FunctionId>();
			functions.set(id, { name: input.function_name, code: input.function_code });
			return id;
		},
		async getFunction(_caller, id) {
			called("getFunction", id);
			const found = functions.get(id);
			if (found === undefined) throw unknown("FUNCTION_NOT_FOUND", id);
			return { function_uuid: id, function_name: found.name, function_code: found.code, metadata: {} };
		},
		async listFunctions(caller, request) {
			called("listFunctions", request);
			const items = [...functions].map(([id, { name }]) => ({
				id,
				name,
				runtime: "python" as const,
				description: null,
				public: false,
				group_id: null,
				owner_id: caller.accountId,
				created_at: now,
			}));
			return { items, next_cursor: null };
		},
		async deleteFunction(_caller, id) {
			called("deleteFunction", id);
			if (!functions.delete(id)) throw unknown("FUNCTION_NOT_FOUND", id);
		},
		async registerEndpoint(caller, asked, input) {
			called("registerEndpoint", asked, input);
			const id = asked ?? newId<EndpointId>();
			endpoints.set(id, {
				id,
				name: input.endpoint_name,
				display_name: input.display_name ?? null,
				owner_id: caller.accountId,
				status: "online",
				last_seen_at: now,
				host: "node1",
				public: false,
				details: { total_workers: 4, idle_workers: 1, pending_tasks: 2, outstanding_tasks: 3, managers: 1 },
				unfinished_tasks: 0,
				created_at: now,
			});
			return {
				endpoint_id: id,
				task_queue_info: place(`${id}.tasks`),
				command_queue_info: place(`${id}.commands`),
				result_queue_info: publish(id, "results"),
				heartbeat_queue_info: publish(id, "heartbeats"),
				report_queue_info: publish(id, "reports"),
				warnings: [],
			};
		},
		async getEndpoint(_caller, idOrName) {
			called("getEndpoint", idOrName);
			return endpointOf(idOrName);
		},
		async getEndpointMetadata(_caller, id) {
			called("getEndpointMetadata", id);
			return { uuid: id, name: endpointOf(id).name };
		},
		async listEndpoints(_caller, request) {
			called("listEndpoints", request);
			return { items: [...endpoints.values()], next_cursor: null };
		},
		async listSharedEndpoints() {
			called("listSharedEndpoints");
			return [];
		},
		async listUserEndpoints(_caller, id) {
			called("listUserEndpoints", id);
			return { items: [], next_cursor: null };
		},
		async shareEndpoint(caller, id, input) {
			called("shareEndpoint", id, input);
			const { account, group, ...limits } = input;
			const share: EndpointShare = {
				...limits,
				id: newId(),
				endpoint_id: id,
				account: account === undefined ? null : { id: newId(), username: account },
				group: group === undefined ? null : { id: groupOf(group).id, name: group },
				shared_by: caller.accountId,
				created_at: now,
			};
			shares.set(share.id, share);
			return share;
		},
		async listShares(_caller, id) {
			called("listShares", id);
			return [...shares.values()].filter((share) => share.endpoint_id === id);
		},
		async removeShare(_caller, id, share) {
			called("removeShare", id, share);
			shares.delete(share);
		},
		async createAccountGroup(caller, input) {
			called("createAccountGroup", input);
			const person = { account_id: caller.accountId, username: caller.username, admin: true, added_at: now };
			const row = { id: newId(), ...input, members: 1, admin: true, created_at: now, people: [person] };
			accountGroups.set(row.id, row);
			return row;
		},
		async getAccountGroup(_caller, group) {
			called("getAccountGroup", group);
			return groupOf(group);
		},
		async listAccountGroups(_caller, request) {
			called("listAccountGroups", request);
			return { items: [...accountGroups.values()].map(({ people, ...row }) => row), next_cursor: null };
		},
		async deleteAccountGroup(_caller, group) {
			called("deleteAccountGroup", group);
			accountGroups.delete(groupOf(group).id);
		},
		async setGroupMember(_caller, group, account, change) {
			called("setGroupMember", group, account, change);
			return groupOf(group);
		},
		async removeGroupMember(_caller, group, account) {
			called("removeGroupMember", group, account);
		},
		async createAuthPolicy(caller, input) {
			called("createAuthPolicy", input);
			const row = { id: newId(), owner_id: caller.accountId, ...input, endpoints: 0, created_at: now };
			authPolicies.set(row.id, row);
			return row;
		},
		async getAuthPolicy(_caller, id) {
			called("getAuthPolicy", id);
			return authPolicyOf(id);
		},
		async listAuthPolicies(_caller, request) {
			called("listAuthPolicies", request);
			return { items: [...authPolicies.values()], next_cursor: null };
		},
		async changeAuthPolicy(_caller, id, change) {
			called("changeAuthPolicy", id, change);
			return { ...authPolicyOf(id), ...(change as Partial<AuthPolicy>) };
		},
		async deleteAuthPolicy(_caller, id) {
			called("deleteAuthPolicy", id);
			authPolicies.delete(authPolicyOf(id).id);
		},
		async createAuthProject(caller, { project }) {
			called("createAuthProject", project);
			return {
				id: newId(),
				display_name: project.display_name,
				project_name: project.display_name,
				contact_email: project.contact_email,
				admin_ids: [],
				admin_group_ids: [],
				admins: { identities: [caller.accountId], groups: [] },
			};
		},
		async listAuthProjects() {
			called("listAuthProjects");
			return [];
		},
		async setAdministrator(_caller, account, change) {
			called("setAdministrator", account, change);
		},
		async readAudit(caller, filter) {
			called("readAudit", filter);
			const entry = {
				id: 1,
				at: now,
				actor_id: caller.accountId,
				actor: caller.username,
				acting_as: "account" as const,
			};
			return {
				items: [{ ...entry, action: "group.create", thing: newId(), details: { name: "g" } }],
				next_cursor: null,
			};
		},
		async deleteEndpoint(_caller, id) {
			called("deleteEndpoint", id);
			endpointOf(id);
			endpoints.delete(id);
		},
		async lockEndpoint(_caller, id) {
			called("lockEndpoint", id);
			endpointOf(id);
			return new Date(now);
		},
		async allowedFunctions(_caller, id) {
			called("allowedFunctions", id);
			endpointOf(id);
			return { restricted: false, functions: [] };
		},
		async makeEndpointKey(_caller, id) {
			called("makeEndpointKey", id);
			return { client_id: id, client_secret: "s3cret", token_endpoint: "http://127.0.0.1/v2/oauth2/token" };
		},
		async takeLease(_caller, id, request) {
			called("takeLease", id, request);
			const { holder_id, host, pid } = request;
			return { epoch: 1, holder_id, host, pid, expires_at: now, ttl_ms: 30_000 };
		},
		async releaseLease(_caller, id, request) {
			called("releaseLease", id, request);
		},
		async submit(caller, endpoint, input, idempotencyKey) {
			called("submit", endpoint, input, idempotencyKey);
			const row = endpointOf(endpoint);
			const group = (input.task_group_id ?? newId<TaskGroupId>()) as TaskGroupId;
			groups.set(group, caller.accountId);
			const made = Object.entries(input.tasks).map(([fn, payloads]) => [
				fn,
				payloads.map(() => addTask(group, row, fn as FunctionId)),
			]);
			return {
				request_id: newId(),
				task_group_id: group,
				endpoint_id: endpoint,
				tasks: Object.fromEntries(made) as Record<string, string[]>,
			};
		},
		async getPublicTask(_caller, id) {
			called("getPublicTask", id);
			return { task_id: id, status: taskOf(id).state };
		},
		async getPublicTasks(_caller, ids) {
			called("getPublicTasks", ids);
			return Object.fromEntries(
				ids.map((id) => [
					id,
					tasks.has(id)
						? { task_id: id, status: taskOf(id).state }
						: { task_id: id, status: "failed", reason: "Unknown task" },
				]),
			);
		},
		async getPublicTaskGroup(_caller, id) {
			called("getPublicTaskGroup", id);
			if (!groups.has(id)) throw unknown("TASK_GROUP_NOT_FOUND", id);
			const own = [...tasks.values()].filter((task) => task.group_id === id);
			return {
				taskgroup_id: id,
				create_websockets_queue: false,
				tasks: own.map((task) => ({ id: task.id, created_at: task.created_at })),
			};
		},
		async resultConnection() {
			called("resultConnection");
			return { queue_prefix: "group.x.", connection_url: "amqp://u:p@127.0.0.1:5672/" };
		},
		async getTask(_caller, id) {
			called("getTask", id);
			return taskOf(id);
		},
		async explainTask(_caller, id) {
			called("explainTask", id);
			const { state, endpoint_id, endpoint_name } = taskOf(id);
			return {
				task_id: id,
				state,
				word: "delivery",
				sentence: "It is on its way.",
				since: now,
				endpoint_id,
				endpoint_name,
				endpoint_status: "online",
				endpoint_seen_at: now,
				trouble: null,
				version_skew: null,
			};
		},
		async listTasks(_caller, filter) {
			called("listTasks", filter);
			const items = [...tasks.values()].map((task) => {
				const { resources, transitions, execution, stdout_bytes, stderr_bytes, ...summary } = task;
				return summary;
			});
			return { items, next_cursor: null };
		},
		async cancelTasks(_caller, what) {
			called("cancelTasks", what);
			const ids = [...(what.taskIds ?? [])];
			return {
				cancelled: ids.filter((id) => tasks.has(id)),
				requested: [],
				finished: [],
				not_found: ids.filter((id) => !tasks.has(id)),
			};
		},
		async retryTask(_caller, id) {
			called("retryTask", id);
			taskOf(id);
			return newId<TaskId>();
		},
		async taskOutput(_caller, id, stream, offsetBytes) {
			called("taskOutput", id, stream, offsetBytes);
			taskOf(id);
			return {
				stream,
				offset_bytes: offsetBytes,
				data: "",
				next_offset_bytes: offsetBytes,
				truncated: false,
				ended: false,
			};
		},
		async createTaskGroup(caller) {
			called("createTaskGroup");
			const id = newId<TaskGroupId>();
			groups.set(id, caller.accountId);
			return id;
		},
		async authorizeGroup(caller, id) {
			called("authorizeGroup", id);
			if (!groups.has(id)) throw unknown("TASK_GROUP_NOT_FOUND", id);
			if (groups.get(id) !== caller.accountId) {
				throw new Fault("TASK_GROUP_ACCESS_FORBIDDEN", `The task group ${id} is another's.`);
			}
		},
		resultsAfter: results.after,
		async putBlob(_caller, sha256, body) {
			called("putBlob", sha256);
			const chunks: Uint8Array[] = [];
			for await (const chunk of body) chunks.push(chunk);
			const bytes = Buffer.concat(chunks);
			if (createHash("sha256").update(bytes).digest("hex") !== sha256) {
				throw new Fault("CHECKSUM_MISMATCH", "The bytes are not those of the checksum.");
			}
			blobs.set(sha256, bytes);
		},
		async getBlob(_caller, sha256) {
			called("getBlob", sha256);
			const bytes = blobs.get(sha256);
			if (bytes === undefined) throw new Fault("BLOB_NOT_FOUND", "There is no such value.");
			return {
				sizeBytes: bytes.length,
				body: (async function* () {
					for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
				})(),
			};
		},
		async hasBlob(_caller, sha256) {
			called("hasBlob", sha256);
			return blobs.has(sha256);
		},
		async submitTransfer(caller, { source_endpoint, destination_endpoint, items, deadline, ...options }) {
			const id = newId<TransferId>();
			called("submitTransfer", items);
			transfers.set(id, {
				...options,
				id,
				owner_id: caller.accountId,
				source_endpoint,
				destination_endpoint,
				items,
				deadline: deadline ?? null,
				status: "ACTIVE",
				nice_status: "QUEUED",
				nice_status_description: "waits to be begun",
				used_route: "relay",
				counters: noTransferCounters,
				effective_bytes_per_second: 0,
				fatal_error: null,
				created_at: now,
				started_at: null,
				completed_at: null,
			});
			return transferOf(id);
		},
		async getTransfer(_caller, id) {
			called("getTransfer", id);
			return transferOf(id);
		},
		async listTransfers(_caller, request) {
			called("listTransfers", request);
			return { items: [...transfers.values()], next_cursor: null };
		},
		async cancelTransfer(_caller, id) {
			called("cancelTransfer", id);
			return transferOf(id);
		},
		async transferEvents(_caller, id, request) {
			called("transferEvents", id, request);
			return { items: [], next_cursor: null };
		},
		async transferFiles(_caller, id, request) {
			called("transferFiles", id, request);
			return { items: [], next_cursor: null };
		},
		async pollTransferAgent(_caller, id, poll) {
			called("pollTransferAgent", id, poll);
			return { revision: "1", assignments: [] };
		},
		async reportTransfer(_caller, id, report) {
			called("reportTransfer", id, report);
			return { status: transferOf(id).status };
		},
		async notReady() {
			return this.missing;
		},
	};
}
