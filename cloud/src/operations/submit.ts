/** Submitting: check, record, publish, reply; a repeat with the same key runs nothing twice. Also retrying. */
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import {
	type EndpointId,
	Fault,
	type FunctionId,
	idFromBytes,
	inlineLimitBytes,
	isFinal,
	newId,
	parseId,
	referenceOf,
	submitLimitBytes,
	submitLimitTasks,
	type TaskGroupId,
	type TaskId,
} from "@errand/proto";
import type { Submitted, submission } from "@errand/proto/rest";
import { Runtime } from "@errand/proto/wire";
import type * as z from "zod";
import { endpointKindOf, isOurs } from "../endpoint-kind.ts";
import type { Caller } from "../policy/caller.ts";
import { type Invitation, inImage } from "../policy/share.ts";
import { stateWord } from "../results/documents.ts";
import { blobOfAccount, grantBlob } from "../store/blobs.ts";
import { type EndpointRow, findEndpoint } from "../store/endpoints.ts";
import { ensureGroup, type GroupRow } from "../store/groups.ts";
import { type BlobRow, findSubmission, findTasks, type NewTask, type NewTasks } from "../store/tasks.ts";
import { LoginCheck } from "./login-check.ts";
import type { Operations } from "./operations.ts";
import { permit } from "./permission.ts";
import type { Ports } from "./ports.ts";
import { withinQuota } from "./quota.ts";
import { Recent } from "./recent.ts";
import type { Standings } from "./standing.ts";
import { skewsOf } from "./task-skew.ts";

type SubmitOperations = Pick<Operations, "submit" | "retryTask">;
type Input = z.output<typeof submission>;

/** Rights and settings of an endpoint are looked up again after this. */
const endpointLagMs = 3_000;

/** Of one key of a submit that is kept with each of its tasks, of which there may be 20,000. */
const settingsLimitBytes = 16 * 1024;

/**
 * In what a client of the public interface that names nothing expects its results; JSON where the worker has neither dill
 * nor the package of that interface.
 */
const peerResultSerializers = ["DillDataBase64", "DillCode", "JSONData"].map(
	(name) => `globus_compute_sdk.serialize.concretes.${name}`,
);
const isPeer = (input: Input): boolean => typeof input.user_runtime?.globus_compute_sdk_version === "string";

interface Payload {
	readonly function: FunctionId;
	readonly payload: Uint8Array;
	readonly blob: BlobRow | null;
}

export function submitOperations(ports: Ports, standings: Standings): SubmitOperations {
	const { database, broker, blobs, dispatch, functions, userEndpoints, events } = ports;
	const endpoints = new Recent<EndpointId, EndpointRow>(10_000, endpointLagMs);
	const logins = new LoginCheck(ports);
	/** A group's owner never changes, and its queue is there as long as the broker is. */
	const groups = new Recent<TaskGroupId, GroupRow>(100_000, Number.POSITIVE_INFINITY);
	events.on("broker:connected", () => groups.clear());
	events.on("endpoint:changed", ({ endpoint }) => endpoints.delete(endpoint));

	/** `invitation`: by which a guest may; its limits are still to be kept. */
	async function endpointFor(
		caller: Caller,
		id: EndpointId,
	): Promise<{ endpoint: EndpointRow; invitation: Invitation | undefined }> {
		const row = endpoints.get(id) ?? (await findEndpoint(database, id));
		if (row === undefined)
			throw new Fault("ENDPOINT_NOT_FOUND", `Endpoint ${id} could not be resolved`, { args: [id] });
		endpoints.set(id, row);
		const invitation = await standings.permitEndpoint(caller, "endpoint.submit", row);
		await logins.require(caller, row);
		return { endpoint: row, invitation };
	}

	async function requireFunctions(
		caller: Caller,
		endpoint: EndpointRow,
		invitation: Invitation | undefined,
		ids: readonly FunctionId[],
	): Promise<void> {
		const lent = invitation?.functions ?? null;
		for (const [id, { row }] of await functions.find(ids, "living")) {
			// Only what is the endpoint owner's own to lend.
			const isLent = lent?.includes(id) === true && row.owner_id === endpoint.owner_id;
			await standings.permitFunction(caller, "function.use", row, isLent);
			const refused = [endpoint.allowed_functions, lent].some((list) => list !== null && !list.includes(id));
			if (refused)
				throw new Fault("FUNCTION_NOT_PERMITTED", `Function ${id} not permitted on endpoint ${endpoint.id}`, {
					args: [id, endpoint.id],
				});
		}
	}

	/** An endpoint of the public interface runs Python and commands, and takes values themselves. */
	async function checkForPublicEndpoint(endpoint: EndpointRow, payloads: readonly Payload[]): Promise<void> {
		const ids = [...new Set(payloads.map((payload) => payload.function))];
		for (const [id, { row }] of await functions.find(ids, "deleted too"))
			if (row.runtime !== Runtime.PYTHON && row.runtime !== Runtime.COMMAND)
				throw new Fault(
					"FUNCTION_NOT_PERMITTED",
					`Function ${id} is JavaScript, and endpoint ${endpoint.id} is one of Globus Compute, which runs Python and commands`,
					{ args: [id, endpoint.id] },
				);
		const large = payloads.find(({ blob }) => blob !== null && blob.sizeBytes > submitLimitBytes)?.blob;
		if (large)
			throw new Fault(
				"TASK_PAYLOAD_TOO_LARGE",
				`the arguments of one task have ${large.sizeBytes} bytes; endpoint ${endpoint.id} is one of Globus Compute, which takes ${submitLimitBytes}`,
				{ args: [String(large.sizeBytes), String(submitLimitBytes)] },
			);
	}

	async function groupFor(caller: Caller, id: TaskGroupId, resultQueue: boolean): Promise<void> {
		let row = groups.get(id);
		if (row === undefined || (resultQueue && !row.result_queue)) {
			row = await ensureGroup(database, id, caller.accountId, resultQueue);
			permit(caller, "group.submit", { ownerId: row.owner_id }, id);
			// Before the reply: who waits at the queue declares nothing.
			if (resultQueue) await broker.declareGroupQueue(caller.accountId, id);
			groups.set(id, row);
		}
		permit(caller, "group.submit", { ownerId: row.owner_id }, id);
	}

	/** Recorded and published, within the day's limit of a guest. */
	function counted(request: NewTasks, invitation: Invitation | undefined): Promise<"recorded" | "repeat"> {
		if (invitation === undefined) return dispatch.submit(request);
		const { endpoint, owner, submission, tasks } = request;
		const claim = {
			endpoint,
			account: owner,
			limit: invitation.tasksPerDay,
			count: tasks.length,
			isRepeat: async () => submission !== null && (await findSubmission(database, submission.key)) !== undefined,
		};
		return withinQuota(database, claim, () => dispatch.submit(request));
	}

	/** For clients of the public interface, which send arguments whole however large: rows and messages stay small. */
	async function store(caller: Caller, payload: Buffer): Promise<BlobRow> {
		const sha256 = createHash("sha256").update(payload).digest();
		const sizeBytes = await blobs.put(sha256.toString("hex"), Readable.from([payload]));
		await grantBlob(database, caller.accountId, sha256, sizeBytes);
		return { sha256, sizeBytes };
	}

	/** The bytes to keep, or the blob that stands for them; throws before anything is recorded. */
	async function toPayload(caller: Caller, fn: FunctionId, text: string): Promise<Payload> {
		const reference = readReference(text);
		if (reference === undefined) {
			const payload = Buffer.from(text, "utf8");
			if (payload.length <= inlineLimitBytes) return { function: fn, payload, blob: null };
			return { function: fn, payload: new Uint8Array(), blob: await store(caller, payload) };
		}
		const sha256 = Buffer.from(reference.sha256, "hex");
		const sizeBytes = await blobOfAccount(database, caller.accountId, sha256);
		if (sizeBytes === undefined)
			throw new Fault("BLOB_NOT_FOUND", `you have not stored a value ${reference.sha256}; store it, then submit`, {
				args: [reference.sha256],
			});
		return { function: fn, payload: new Uint8Array(), blob: { sha256, sizeBytes } };
	}

	async function toPayloads(caller: Caller, tasks: Input["tasks"]): Promise<Payload[]> {
		const payloads: Payload[] = [];
		for (const [fn, texts] of Object.entries(tasks)) {
			const id = fn.toLowerCase() as FunctionId;
			for (const text of texts) payloads.push(await toPayload(caller, id, text));
		}
		return payloads;
	}

	async function submit(caller: Caller, id: EndpointId, input: Input, key: string | undefined): Promise<Submitted> {
		const { endpoint, invitation } = await endpointFor(caller, id);
		const count = Object.values(input.tasks).reduce((sum, some) => sum + some.length, 0);
		if (count === 0) throw new Fault("SEMANTICALLY_INVALID", "a submit needs at least one task");
		if (count > submitLimitTasks)
			throw new Fault(
				"BATCH_RUN_TOO_LARGE",
				`${count} tasks in one submit; ${submitLimitTasks} are allowed. Submit them in parts`,
				{
					args: [String(count), String(submitLimitTasks)],
				},
			);
		checkSettings(input);
		const ids = Object.keys(input.tasks).map((fn) => fn.toLowerCase() as FunctionId);
		await requireFunctions(caller, endpoint, invitation, ids);
		const payloads = await toPayloads(caller, input.tasks);
		if (!isOurs(endpointKindOf(endpoint.registration))) await checkForPublicEndpoint(endpoint, payloads);
		const receiver = await userEndpoints.forSubmit(caller, endpoint, input);
		const submissionKey = key === undefined ? null : submissionIdOf(caller, id, key);
		let group =
			groupOf(input) ?? (submissionKey === null ? newId<TaskGroupId>() : derivedId<TaskGroupId>(submissionKey, -1));
		await groupFor(caller, group, input.create_queue === true);
		const skews = skewsOf(endpoint, input, await functions.find(ids, "deleted too"));
		const tasks: NewTask[] = payloads.map((payload, index) => ({
			versionSkew: skews.get(payload.function) ?? null,
			id: submissionKey === null ? newId<TaskId>() : derivedId<TaskId>(submissionKey, index),
			...payload,
		}));
		const bodySha256 = submissionKey === null ? undefined : digestOf(input);
		const request: NewTasks = {
			group,
			endpoint: id,
			...receiver,
			owner: caller.accountId,
			resources: resourcesOf(input.resource_specification ?? null, invitation),
			resultSerializers: input.result_serializers ?? (isPeer(input) ? peerResultSerializers : null),
			retryOf: null,
			submission: submissionKey === null || bodySha256 === undefined ? null : { key: submissionKey, bodySha256 },
			tasks,
		};
		const outcome = await counted(request, invitation);
		if (outcome === "repeat" && submissionKey !== null && bodySha256 !== undefined) {
			const earlier = await findSubmission(database, submissionKey);
			if (earlier !== undefined && !earlier.bodySha256.equals(bodySha256))
				throw new Fault(
					"IDEMPOTENCY_KEY_REUSED",
					`Idempotency-Key ${key} was used for another submit; take a new key for each request that is not a repeat`,
					{ args: [String(key)] },
				);
			if (earlier !== undefined) group = earlier.group;
			await dispatch.publishAgain(tasks.map((task) => task.id));
		}
		return toSubmitted(id, group, input, tasks, [...new Set(skews.values())]);
	}

	async function retryTask(caller: Caller, id: TaskId): Promise<TaskId> {
		const row = (await findTasks(database, [id], true))[0];
		permit(caller, "task.retry", row === undefined ? {} : { ownerId: row.owner_id }, id);
		if (row === undefined) throw new Fault("TASK_NOT_FOUND", `Task ${id} could not be resolved`, { args: [id] });
		const state = stateWord(row.state);
		if (!isFinal(state))
			throw new Fault(
				"ILLEGAL_TRANSITION",
				`task ${id} is ${state}: only a task that has ended can be retried (to received)`,
				{
					args: [state, "received"],
				},
			);
		const { endpoint, invitation } = await endpointFor(caller, row.endpoint_id);
		await requireFunctions(caller, endpoint, invitation, [row.function_id]);
		const retry = newId<TaskId>();
		const request: NewTasks = {
			group: row.group_id,
			endpoint: row.endpoint_id,
			...(await userEndpoints.again(endpoint, row.user_endpoint_id)),
			owner: row.owner_id,
			resources: resourcesOf(row.resources, invitation),
			resultSerializers: row.result_serializers,
			retryOf: id,
			submission: null,
			tasks: [
				{
					id: retry,
					versionSkew: row.version_skew,
					function: row.function_id,
					payload: row.payload ?? new Uint8Array(),
					blob: row.payload_blob && { sha256: row.payload_blob, sizeBytes: Number(row.payload_blob_bytes) },
				},
			],
		};
		await counted(request, invitation);
		return retry;
	}

	return { submit, retryTask };
}

/** Throws when what is kept with every task of the request is larger than settings are. */
function checkSettings(input: Input): void {
	for (const name of [
		"resource_specification",
		"result_serializers",
		"user_endpoint_config",
		"user_runtime",
	] as const) {
		const sizeBytes = Buffer.byteLength(JSON.stringify(input[name] ?? null));
		if (sizeBytes > settingsLimitBytes)
			throw new Fault(
				"SEMANTICALLY_INVALID",
				`${name} has ${sizeBytes} bytes and is kept with every task; ${settingsLimitBytes} are allowed. Pass data as arguments`,
				{ args: [name, String(sizeBytes), String(settingsLimitBytes)] },
			);
	}
}

/** What the tasks ask for, as far as the invitation leaves it to them. */
function resourcesOf(
	asked: Record<string, unknown> | null,
	invitation: Invitation | undefined,
): Record<string, unknown> | null {
	const image = invitation?.containerImage ?? null;
	return image === null ? asked : inImage(asked, image);
}

function readReference(text: string): ReturnType<typeof referenceOf> {
	try {
		return referenceOf(text);
	} catch (cause) {
		throw new Fault("SEMANTICALLY_INVALID", `a task's reference makes no sense: ${(cause as Error).message}`, {
			cause,
		});
	}
}

function groupOf(input: Input): TaskGroupId | undefined {
	return input.task_group_id ? parseId<TaskGroupId>(input.task_group_id) : undefined;
}

/** The caller's key, made unusable for anybody else and for any other endpoint. */
function submissionIdOf(caller: Caller, endpoint: EndpointId, key: string): string {
	return uuidOf(createHash("sha256").update(`submission\0${caller.accountId}\0${endpoint}\0${key}`).digest());
}

/** The id of a request's n-th task: the same for a repeat, and nobody can choose it. */
function derivedId<T extends TaskId | TaskGroupId>(submissionKey: string, index: number): T {
	return uuidOf(createHash("sha256").update(`${submissionKey}\0${index}`).digest()) as T;
}

/** A UUID of version 8 (RFC 9562) from the first 16 bytes of a hash. */
function uuidOf(hash: Uint8Array): string {
	const bytes = hash.subarray(0, 16);
	bytes[6] = ((bytes[6] as number) & 0x0f) | 0x80;
	bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
	return idFromBytes<TaskId>(bytes);
}

/** Of everything in the request that decides what runs. */
function digestOf(input: Input): Uint8Array {
	const { tasks, ...rest } = input;
	const hash = createHash("sha256").update(JSON.stringify(rest));
	for (const [fn, texts] of Object.entries(tasks)) {
		hash.update(`\0${fn}\0${texts.length}`);
		for (const text of texts) hash.update(`\0${text.length}\0`).update(text);
	}
	return hash.digest();
}

function toSubmitted(
	endpoint: EndpointId,
	group: TaskGroupId,
	input: Input,
	tasks: readonly NewTask[],
	warnings: readonly string[],
): Submitted {
	const byFunction: Record<string, string[]> = {};
	let at = 0;
	for (const [fn, texts] of Object.entries(input.tasks)) {
		byFunction[fn.toLowerCase()] = tasks.slice(at, at + texts.length).map((task) => task.id);
		at += texts.length;
	}
	return {
		request_id: newId<TaskId>(),
		task_group_id: group,
		endpoint_id: endpoint,
		tasks: byFunction,
		...(warnings.length > 0 && { warnings: [...warnings] }),
		...(warnings.length > 0 && isPeer(input) && { ha_warning: warnings.join("\n") }),
	};
}
