/** Transfers: what people ask for and read, and what agents are told and report. */
import * as z from "zod";
import {
	fileOutcomes,
	isCollectionName,
	parseCollectionPath,
	reportLimitFiles,
	syncLevels,
	transferLimitItems,
	transferRoutes,
	transferStatuses,
	verifyLevels,
} from "../transfer.ts";

const collectionPath = z
	.string()
	.max(4096)
	.refine((text) => parseCollectionPath(text) !== undefined, "is not /COLLECTION/PATH, or goes up by ..");

export const transferItem = z.strictObject({
	source_path: collectionPath,
	/** Of a file: the whole name of the copy. Of a directory: the directory that gets its content. */
	destination_path: collectionPath,
	recursive: z.boolean().default(false),
});
export type TransferItem = z.output<typeof transferItem>;

export const filterRule = z.strictObject({
	method: z.enum(["include", "exclude"]),
	type: z.enum(["file", "dir"]).optional(),
	/** Of the last part of a path, with `*`, `?`, `[…]` and `{…,…}`. */
	name: z.string().min(1).max(255),
});
export type FilterRule = z.output<typeof filterRule>;

const transferOptions = {
	label: z.string().max(256).default(""),
	/** Undefined: everything is sent. Else a position in `syncLevels`. */
	sync_level: z
		.int()
		.min(0)
		.max(syncLevels.length - 1)
		.optional(),
	verify: z.enum(verifyLevels).default("wire"),
	preserve_timestamp: z.boolean().default(false),
	/** Of recursive items: what the source does not have goes. */
	delete_destination_extra: z.boolean().default(false),
	/** A file that cannot be read is left out and listed, instead of ending the transfer. */
	skip_source_errors: z.boolean().default(false),
	/** `copy`: a link to a file inside the collection becomes a copy of that file. */
	recursive_symlinks: z.enum(["ignore", "copy"]).default("ignore"),
	/** The first that fits decides; what none fits is included. */
	filter_rules: z.array(filterRule).max(100).default([]),
	/** What is not done by then is not done any more. */
	deadline: z.iso.datetime({ offset: true }).optional(),
	/** Undefined: the best there is. */
	route: z.enum(["direct", "relay"]).optional(),
};

/** `POST /v1/transfers`, with `Idempotency-Key`: a repeat is answered with the same transfer. */
export const transferSubmission = z.strictObject({
	source_endpoint: z.uuid(),
	destination_endpoint: z.uuid(),
	items: z.array(transferItem).min(1).max(transferLimitItems),
	...transferOptions,
});
export type TransferSubmission = z.input<typeof transferSubmission>;

const count = z.int().min(0);

export const transferCounters = z.object({
	/** What the source has of what is asked for, as far as it was listed. */
	files: count,
	directories: count,
	/** That were left out. */
	symlinks: count,
	bytes: count,
	files_transferred: count,
	files_skipped: count,
	files_failed: count,
	files_deleted: count,
	bytes_transferred: count,
	bytes_checksummed: count,
	bytes_skipped: count,
	/** Times that something had to be done again. */
	faults: count,
});
export type TransferCounters = z.output<typeof transferCounters>;

export const noTransferCounters: TransferCounters = Object.fromEntries(
	Object.keys(transferCounters.shape).map((name) => [name, 0]),
) as TransferCounters;

const fatalError = z.object({ code: z.string(), description: z.string() });

/** `GET /v1/transfers/{id}` */
export const transferDocument = z.object({
	id: z.uuid(),
	owner_id: z.uuid(),
	source_endpoint: z.uuid(),
	destination_endpoint: z.uuid(),
	items: z.array(transferItem),
	...transferOptions,
	deadline: z.iso.datetime().nullable(),
	status: z.enum(transferStatuses),
	/** One word for what it does or waits for: OK, QUEUED, OFFLINE, or the code of what stops it. */
	nice_status: z.string(),
	nice_status_description: z.string(),
	used_route: z.enum(transferRoutes),
	counters: transferCounters,
	effective_bytes_per_second: count,
	fatal_error: fatalError.nullable(),
	created_at: z.iso.datetime(),
	started_at: z.iso.datetime().nullable(),
	completed_at: z.iso.datetime().nullable(),
});
export type TransferDocument = z.infer<typeof transferDocument>;

export const transferEventCodes = [
	"STARTED",
	"PROGRESS",
	"SUCCEEDED",
	"CANCELED",
	"EXPIRED",
	"FAILED",
	"SKIPPED_ERRORS",
	"DELETE_DESTINATION_EXTRA_SKIPPED",
	"ROUTE_SELECTED",
	"ROUTE_CHANGED",
	"ENDPOINT_OFFLINE",
	"RESUMED",
	"CONNECTION_LOST",
	"TOKEN_EXPIRED",
	"SOURCE_CHANGED",
	"CHECKSUM_MISMATCH",
	"FILE_NOT_FOUND",
	"PERMISSION_DENIED",
	"PATH_OUTSIDE_COLLECTION",
	"DISK_FULL",
	"NOT_A_FILE",
	"FILE_ERROR",
] as const;
export type TransferEventCode = (typeof transferEventCodes)[number];

const eventBody = {
	code: z.enum(transferEventCodes),
	is_error: z.boolean(),
	description: z.string().max(1000),
	details: z.record(z.string(), z.unknown()).default({}),
	time: z.iso.datetime(),
};

/** One row of `GET /v1/transfers/{id}/events` */
export const transferEvent = z.object(eventBody);
export type TransferEvent = z.infer<typeof transferEvent>;

/** One row of `GET /v1/transfers/{id}/files`: what became of one file. */
export const transferFile = z.object({
	/** At the destination, `/COLLECTION/PATH`. */
	path: z.string(),
	outcome: z.enum(fileOutcomes),
	bytes: count,
	/** `sha256:…` of the content, or `sha256-8MiB:…` of a file of several chunks: see docs/transfers.md. Null when nothing was verified. */
	digest: z.string().nullable(),
	took_ms: count,
	/** Why not. */
	reason: z.string().nullable(),
});
export type TransferFile = z.infer<typeof transferFile>;

// ── agents ──

export const agentCollection = z.strictObject({
	name: z.string().refine(isCollectionName, "letters, digits, dots, dashes; up to 64"),
	read_only: z.boolean().default(false),
	/** What those may do with whom the endpoint is shared. */
	guests: z.enum(["none", "read", "write"]).default("none"),
});
export type AgentCollection = z.output<typeof agentCollection>;

/**
 * `PUT /v1/transfer-agents/{id}`: what moves the files of an endpoint says that it is there, and asks what to do. The
 * id is the endpoint's; or a new one, made by a person's own command, which has one collection for as long as it runs.
 */
export const agentPoll = z.strictObject({
	/** PEM: who the other ends must be talking to. */
	certificate: z.string().min(1).max(8192),
	/** `host:port` where it takes connections; empty: nowhere. */
	addresses: z.array(z.string().min(3).max(300)).max(16).default([]),
	collections: z.array(agentCollection).max(100),
	/** What the last answer said; while nothing else is to be said the answer waits. */
	revision: z.string().max(128).default(""),
	wait_ms: z.int().min(0).max(30_000).default(0),
	/** It stops: nothing is waited for any more. */
	leaving: z.boolean().default(false),
});
export type AgentPoll = z.input<typeof agentPoll>;

const ends = z.iso.datetime();
const assignmentBasis = {
	transfer_id: z.uuid(),
	used_route: z.enum(transferRoutes),
	items: z.array(transferItem),
	recursive_symlinks: transferOptions.recursive_symlinks,
	filter_rules: transferOptions.filter_rules,
	/** Lets this end, and no other, have its connections joined by the cloud. */
	relay_token: z.string(),
};

export const sourceAssignment = z.object({
	...assignmentBasis,
	role: z.literal("source"),
	/** SHA-256 (hexadecimal) of the tokens by which what the items name may be read. */
	read_tokens: z.array(z.object({ sha256: z.string(), ends_at: ends })),
	/** PEM: who may come. */
	peer_certificate: z.string(),
});
export type SourceAssignment = z.output<typeof sourceAssignment>;

export const destinationAssignment = z.object({
	...assignmentBasis,
	role: z.literal("destination"),
	sync_level: transferOptions.sync_level,
	verify: transferOptions.verify,
	preserve_timestamp: transferOptions.preserve_timestamp,
	delete_destination_extra: transferOptions.delete_destination_extra,
	skip_source_errors: transferOptions.skip_source_errors,
	read_token: z.string(),
	/** The right to write what the items name, and to report it. */
	write_token: z.string(),
	tokens_end_at: ends,
	/** PEM: whom to believe. */
	peer_certificate: z.string(),
	peer_addresses: z.array(z.string()),
});
export type DestinationAssignment = z.output<typeof destinationAssignment>;

export const agentAssignments = z.object({
	revision: z.string(),
	assignments: z.array(z.discriminatedUnion("role", [sourceAssignment, destinationAssignment])),
});
export type AgentAssignments = z.output<typeof agentAssignments>;

/** `POST /v1/transfers/{id}/reports`, by the destination's agent. May be repeated: events by id and files by index are recorded once. */
export const transferReport = z.strictObject({
	write_token: z.string().max(256),
	counters: transferCounters,
	events: z
		.array(z.strictObject({ id: z.uuid(), ...eventBody }))
		.max(100)
		.default([]),
	files: z
		.array(z.strictObject({ index: count, ...transferFile.shape }))
		.max(reportLimitFiles)
		.default([]),
	/** Set: it is over. */
	outcome: z
		.discriminatedUnion("status", [
			z.strictObject({ status: z.literal("SUCCEEDED") }),
			z.strictObject({ status: z.literal("FAILED"), fatal_error: fatalError }),
		])
		.optional(),
	/** The direct way cannot be gone: why. */
	direct_failed: z.string().max(500).optional(),
});
export type TransferReport = z.input<typeof transferReport>;

export const reportTaken = z.object({ status: z.enum(transferStatuses) });
