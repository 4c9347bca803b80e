/**
 * Flows and runs, in the documents of the public interface's flow service. A client of that service works with
 * `…/v1/` as its address.
 */
import * as z from "zod";

const uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
const identityOrGroup = new RegExp(`^urn:globus:(?:auth:identity|groups:id):${uuid}$`, "i");
const notPrincipal =
	"is not a principal: urn:globus:auth:identity:<account id>, or urn:globus:groups:id:<group id>; errand whoami and errand group show tell the ids";

/** Names in one role of a flow or run, as in the public interface. */
const principalsLimit = 16;

const principals = (...words: readonly string[]) =>
	z
		.array(z.string().refine((text) => identityOrGroup.test(text) || words.includes(text), { error: notPrincipal }))
		.max(principalsLimit)
		.transform((list) => list.map((text) => text.toLowerCase()));

const jsonObject = z.record(z.string(), z.json());

/** Trimmed, blanks made one, as the public interface does. */
const tag = z
	.string()
	.max(64)
	.transform((text) => text.trim().replace(/\s+/g, " "))
	.pipe(z.string().min(1));
const tags = z.array(tag).max(100);
const label = z.string().max(64);
const people = { run_managers: principals(), run_monitors: principals() };

/** `POST /v1/flows` */
export const flowCreation = z.strictObject({
	title: z.string().min(1).max(128),
	definition: jsonObject,
	/** JSON Schema of what a run begins with; `{}` takes anything. */
	input_schema: jsonObject.default({}),
	subtitle: z.string().max(128).default(""),
	description: z.string().max(4096).default(""),
	keywords: z.array(z.string().max(1024)).max(1024).default([]),
	flow_viewers: principals("public").default([]),
	flow_starters: principals("all_authenticated_users").default([]),
	flow_administrators: principals().default([]),
	run_managers: people.run_managers.default([]),
	run_monitors: people.run_monitors.default([]),
	/** Taken and not used: there are no subscriptions here. */
	subscription_id: z.string().nullish(),
	authentication_policy_id: z.string().nullish(),
});
export type FlowCreation = z.input<typeof flowCreation>;

/** `PUT /v1/flows/{id}`: what is not said stays. */
export const flowChange = z.strictObject({
	title: flowCreation.shape.title.optional(),
	definition: jsonObject.optional(),
	input_schema: jsonObject.optional(),
	subtitle: z.string().max(128).optional(),
	description: z.string().max(4096).optional(),
	keywords: z.array(z.string().max(1024)).max(1024).optional(),
	flow_viewers: principals("public").optional(),
	flow_starters: principals("all_authenticated_users").optional(),
	flow_administrators: principals().optional(),
	run_managers: people.run_managers.optional(),
	run_monitors: people.run_monitors.optional(),
	subscription_id: z.string().nullish(),
	authentication_policy_id: z.string().nullish(),
});
export type FlowChange = z.input<typeof flowChange>;

export const flowDocument = z.object({
	id: z.uuid(),
	title: z.string(),
	subtitle: z.string(),
	description: z.string(),
	keywords: z.array(z.string()),
	/** Without what is private, for those who may not change the flow. */
	definition: jsonObject,
	input_schema: jsonObject,
	flow_owner: z.string(),
	created_by: z.string(),
	flow_viewers: z.array(z.string()),
	flow_starters: z.array(z.string()),
	flow_administrators: z.array(z.string()),
	run_managers: z.array(z.string()),
	run_monitors: z.array(z.string()),
	created_at: z.string(),
	updated_at: z.string(),
	/** The caller's highest. */
	user_role: z.enum(["flow_owner", "flow_administrator", "flow_starter", "flow_viewer"]),
	api_version: z.literal("1.0"),
	synchronous: z.literal(false),
	log_supported: z.literal(true),
	types: z.array(z.literal("Action")),
});
export type FlowDocument = z.infer<typeof flowDocument>;

/** Whether there is another page, and where it begins. */
const marked = { limit: z.int(), has_next_page: z.boolean(), marker: z.string().nullable() };

export const flowPage = z.object({ flows: z.array(flowDocument), ...marked });
export type FlowPage = z.infer<typeof flowPage>;

/** `POST /v1/flows/validate` */
export const flowValidation = z.strictObject({ definition: jsonObject, input_schema: jsonObject.optional() });

export const flowValidated = z.object({
	/** Of the providers that its actions name, by whom they are asked as; none here has one. */
	scopes: z.record(z.string(), z.array(z.string())),
	/** What its author should know, each with its place in the definition. */
	warnings: z.array(z.object({ code: z.string(), path: z.string(), message: z.string() })),
});

/** `POST /v1/flows/{id}/run`, and `…/validate_run` */
export const runStart = z.strictObject({
	body: jsonObject,
	label: label.optional(),
	tags: tags.default([]),
	run_managers: people.run_managers.default([]),
	run_monitors: people.run_monitors.default([]),
	/** Taken and not used: no mail is sent here. */
	activity_notification_policy: z.unknown().optional(),
});
export type RunStart = z.input<typeof runStart>;

export const runStatuses = ["ACTIVE", "INACTIVE", "SUCCEEDED", "FAILED"] as const;

export const runDocument = z.object({
	run_id: z.uuid(),
	/** The same: a run is an action too. */
	action_id: z.uuid(),
	flow_id: z.uuid(),
	flow_title: z.string(),
	flow_last_updated: z.string(),
	start_time: z.string(),
	completion_time: z.string().nullable(),
	status: z.enum(runStatuses),
	display_status: z.string(),
	/** Of the last thing that happened to the whole run; of a run that succeeded its output. */
	details: z.object({ code: z.string(), description: z.string(), details: z.json() }).loose(),
	run_owner: z.string(),
	created_by: z.string(),
	run_managers: z.array(z.string()),
	run_monitors: z.array(z.string()),
	manage_by: z.array(z.string()),
	monitor_by: z.array(z.string()),
	/** The caller's highest. */
	user_role: z.enum(["run_owner", "run_manager", "run_monitor"]),
	label: z.string(),
	tags: z.array(z.string()),
	/** The run whose failed states it repeats. */
	rerun_of: z.uuid().nullable(),
});
export type RunDocument = z.infer<typeof runDocument>;

export const runPage = z.object({ runs: z.array(runDocument), ...marked });
export type RunPage = z.infer<typeof runPage>;

/** `PUT /v1/runs/{id}`: what is not said stays. */
export const runChange = z.strictObject({
	label: label.optional(),
	tags: tags.optional(),
	run_managers: people.run_managers.optional(),
	run_monitors: people.run_monitors.optional(),
});
export type RunChange = z.input<typeof runChange>;

export const runDefinition = z.object({ flow_id: z.uuid(), definition: jsonObject, input_schema: jsonObject });

export const runLogEntry = z.object({
	time: z.string(),
	code: z.string(),
	description: z.string(),
	details: z.json(),
});
export type RunLogEntry = z.infer<typeof runLogEntry>;

export const runLogPage = z.object({
	entries: z.array(runLogEntry),
	...marked,
	/** Where whoever follows the log goes on; null when the page is empty. */
	end_marker: z.string().nullable(),
});
export type RunLogPage = z.infer<typeof runLogPage>;

/** One visit of a run, or of a branch or item of it, to a state. */
export const runVisit = z.object({
	/** "" for the run itself; `Analyse[3]` for an item or a branch. */
	branch: z.string(),
	visit: z.int(),
	state: z.string(),
	type: z.string(),
	attempts: z.int(),
	entered_at: z.string(),
	left_at: z.string().nullable(),
	/** Null while it is there. */
	outcome: z.enum(["succeeded", "failed", "cancelled"]).nullable(),
	input: z.json(),
	output: z.json(),
	error: z.object({ error: z.string(), cause: z.string() }).loose().nullable(),
});
export type RunVisit = z.infer<typeof runVisit>;

/** `GET /v1/runs/{id}/states`, in the order of their beginning. */
export const runVisits = z.object({ states: z.array(runVisit), truncated: z.boolean() });
export type RunVisits = z.infer<typeof runVisits>;

const batchPart = z.strictObject({
	tags: tags.optional(),
	run_managers: people.run_managers.optional(),
	run_monitors: people.run_monitors.optional(),
});

/** `POST /v1/batch/runs` */
export const runBatch = z.strictObject({
	filters: z.strictObject({ run_ids: z.array(z.uuid()).min(1).max(100) }),
	set: batchPart.extend({ status: z.literal("cancel").optional() }).optional(),
	add: batchPart.optional(),
	remove: batchPart.optional(),
});
