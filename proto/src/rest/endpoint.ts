import * as z from "zod";
import { consumePlace, publishPlace } from "../broker-place.ts";
import { waitingWords } from "../waiting.ts";

/** So many user endpoints may one manager run. */
export const toldUserEndpoints = 10_000;

/** `POST /v3/endpoints`, `PUT /v3/endpoints/{id}` */
export const endpointRegistration = z.object({
	endpoint_name: z
		.string()
		.min(1)
		.max(128)
		.regex(/^[^\s'"/\\.][^\s'"/\\]*$/, "an endpoint's name has no space, quote or slash and does not start with a dot"),
	display_name: z.string().max(256).nullish(),
	multi_user: z.boolean().optional(),
	public: z.boolean().optional(),
	high_assurance: z.boolean().optional(),
	allowed_functions: z.array(z.uuid()).nullish(),
	authentication_policy: z.uuid().nullish(),
	subscription_uuid: z.uuid().nullish(),
	admins: z.array(z.uuid()).nullish(),
	metadata: z
		.object({
			/** Set by our daemon only: it takes task batches, reports and commands as `wire.ts` and `command.ts` have them. */
			errand_protocol: z.literal(1).optional(),
			/** Names the daemon's journal. Another one than last time: what was in the old journal is gone, send it again. */
			errand_journal_id: z.uuid().optional(),
			/** It has collections: an agent of its own will ask for transfers. */
			errand_collections: z.boolean().optional(),
			/** Set by our daemon when it runs no tasks itself, but starts a user endpoint for each account and configuration. */
			errand_manager: z.literal(true).optional(),
			/** The user endpoints that a manager's processes still run: it lives less long than they do. The others have ended. */
			errand_user_endpoints: z.array(z.uuid()).max(toldUserEndpoints).optional(),
		})
		.catchall(z.unknown())
		.default({}),
});
export type EndpointRegistration = z.input<typeof endpointRegistration>;

/** The reply to a registration by our daemon; the public interface's kinds are subsets of it. */
export const endpointRegistered = z.object({
	endpoint_id: z.uuid(),
	task_queue_info: consumePlace,
	command_queue_info: consumePlace,
	result_queue_info: publishPlace,
	heartbeat_queue_info: publishPlace,
	report_queue_info: publishPlace,
	warnings: z.array(z.string()),
});
export type EndpointRegistered = z.infer<typeof endpointRegistered>;

/** `POST /v1/endpoints/{id}/key`: the endpoint's own client credentials; making a new key ends the old one. */
export const endpointKey = z.object({ client_id: z.uuid(), client_secret: z.string(), token_endpoint: z.url() });
export type EndpointKey = z.infer<typeof endpointKey>;

/** `PUT /v1/endpoints/{id}/lease` takes or renews; `DELETE` gives back (same body). */
export const leaseRequest = z.object({
	/** Made once by each daemon process; renewals carry the same. */
	holder_id: z.uuid(),
	host: z.string().max(255),
	pid: z.int().positive(),
	/**
	 * The holder that this daemon knows to be dead (same host, its pid gone): its lease is taken over at once.
	 * Without it the daemon waits for the lease to run out.
	 */
	replaces_holder_id: z.uuid().optional(),
});
export const lease = z.object({
	/** Grows with each new holder: the fencing token. A new holder's registration ends the old one's AMQP connections. */
	epoch: z.int(),
	holder_id: z.uuid(),
	host: z.string(),
	pid: z.int(),
	expires_at: z.iso.datetime(),
	ttl_ms: z.int(),
});
export type Lease = z.infer<typeof lease>;

export const endpointStatusWord = z.enum(["online", "offline"]);

/** One row of `GET /v1/endpoints`; also `GET /v1/endpoints/{id or name}` */
export const endpointSummary = z.object({
	id: z.uuid(),
	name: z.string(),
	display_name: z.string().nullable(),
	owner_id: z.uuid(),
	status: endpointStatusWord,
	last_seen_at: z.iso.datetime().nullable(),
	host: z.string().nullable(),
	public: z.boolean(),
	/** What the last heartbeat said; see `endpointStatusDetails`. */
	details: z.record(z.string(), z.unknown()),
	unfinished_tasks: z.int(),
	created_at: z.iso.datetime(),
});
export type EndpointSummary = z.infer<typeof endpointSummary>;

/** One block, as the last heartbeat told of it. */
export const blockSummary = z.object({
	id: z.string(),
	queue: z.string(),
	/** requested, submitted, held, starting, active, draining */
	state: z.string(),
	job_id: z.string().nullable(),
	nodes: z.int(),
	managers: z.int(),
	/** The scheduler's own words; empty when it says nothing. */
	reason: z.string(),
	since_ms: z.number(),
	/** When the scheduler expects it to start; when it ends by itself. Unix milliseconds. */
	expected_start_ms: z.number().nullable(),
	ends_at_ms: z.number().nullable(),
});
export type BlockSummary = z.infer<typeof blockSummary>;

/** Why tasks of one demand wait at the endpoint. */
export const waitingSummary = z.object({
	/** As `demandKey` makes it of the tasks' resources. */
	demand: z.string(),
	tasks: z.int(),
	word: z.enum(waitingWords),
	sentence: z.string(),
});
export type WaitingSummary = z.infer<typeof waitingSummary>;

/** So many of each are told in one heartbeat; the rest is left out. */
export const toldBlocks = 200;
export const toldDemands = 50;
export const toldRuntimes = 8;

/** The keys of a heartbeat's `global_state` that our daemon sends; names of the public interface's engines. */
export const endpointStatusDetails = z.object({
	heartbeat_period: z.number(), // seconds; 0: shutting down
	active: z.boolean(),
	total_workers: z.int(),
	idle_workers: z.int(),
	pending_tasks: z.int(),
	outstanding_tasks: z.int(),
	managers: z.int(),
	total_cores: z.number(),
	scheduler: z.string(),
	errand_version: z.string(),
	hostname: z.string(),
	/** What Python workers were when they last ran something, the newest last: "Python 3.11.7, dill 0.3.9". */
	worker_runtimes: z.array(z.string()).max(toldRuntimes).default([]),
	/** Of a manager: how many of its user endpoints run. */
	user_endpoints: z.int().optional(),
	/** What is wrong, for people; absent when all is well. */
	trouble: z.string().optional(),
	/** Why no block is submitted until somebody resumes the endpoint; absent when it is not paused. */
	paused: z.string().optional(),
	blocks: z.array(blockSummary).max(toldBlocks).default([]),
	waiting: z.array(waitingSummary).max(toldDemands).default([]),
});
export type EndpointStatusDetails = z.input<typeof endpointStatusDetails>;

const toldParts = endpointStatusDetails.partial().extend({ blocks: z.unknown(), waiting: z.unknown() });

/**
 * What a heartbeat says, as far as it can be understood: a part that is not as our daemon sends it (of another version,
 * or of the public interface's endpoints) is left out, and the rest is read.
 */
export function readStatusDetails(
	details: Readonly<Record<string, unknown>>,
): Partial<Omit<EndpointStatusDetails, "blocks" | "waiting">> & { blocks: BlockSummary[]; waiting: WaitingSummary[] } {
	const plain: Record<string, unknown> = {};
	for (const [key, schema] of Object.entries(toldParts.shape)) {
		const read = schema.safeParse(details[key]);
		if (read.success && read.data !== undefined) plain[key] = read.data;
	}
	return { ...plain, blocks: rowsOf(blockSummary, plain.blocks), waiting: rowsOf(waitingSummary, plain.waiting) };
}

function rowsOf<Row extends z.ZodType>(row: Row, value: unknown): z.output<Row>[] {
	if (!Array.isArray(value)) return [];
	return value.flatMap((item) => {
		const read = row.safeParse(item);
		return read.success ? [read.data] : [];
	});
}
