/**
 * Why a task is not running: one word and one sentence, from the task's row and from what its endpoint said last. Pure.
 * What waits at the endpoint is the endpoint's to explain (its heartbeats say a word for each demand); the cloud adds
 * what the endpoint cannot say: that it is not there, and that the task has not come there.
 */
import { demandKey, isFinal, type TaskState, type WaitingWord } from "@errand/proto";
import { type BlockSummary, type Explanation, readStatusDetails } from "@errand/proto/rest";
import { stateWord } from "../results/documents.ts";
import type { EndpointRow } from "../store/endpoints.ts";
import type { WholeTaskRow } from "../store/tasks.ts";
import type { UserEndpointRow } from "../store/user-endpoints.ts";
import { toResources } from "../task-resources.ts";

type ExplainedTask = Pick<
	WholeTaskRow,
	| "id"
	| "state"
	| "created_at"
	| "endpoint_id"
	| "endpoint_name"
	| "resources"
	| "version_skew"
	| "transitions"
	| "finished_at"
	| "finished_by"
	| "failure"
	| "cancel_requested_at"
>;
type ExplainedEndpoint = Pick<
	EndpointRow,
	"name" | "active" | "last_seen_at" | "locked_until" | "heartbeat_period_ms" | "details"
>;

type ExplainedUserEndpoint = Pick<
	UserEndpointRow,
	"native" | "details" | "asked_at" | "start_error" | "start_error_transient" | "last_seen_at" | "heartbeat_period_ms"
>;

/** What is known besides the task: its endpoint (undefined: deleted), whether that is online, and the time. */
interface Surroundings {
	readonly endpoint: ExplainedEndpoint | undefined;
	readonly online: boolean;
	/** When the endpoint is a manager: the process of it that the task is for. */
	readonly userEndpoint?: ExplainedUserEndpoint & { readonly online: boolean };
	readonly nowMs: number;
}

interface Reason {
	readonly word: WaitingWord | null;
	readonly sentence: string;
	/** Later than the task's last move, when it is only so since then. */
	readonly sinceMs?: number;
}

const defaultPeriodMs = 30_000;
/** The endpoint tells of tasks that wait for a while; until then "on its way" is all that is known. */
const quietMs = 5_000;
/** On its way longer than this something is the matter. */
const deliveryMs = 60_000;

export function explain(task: ExplainedTask, given: Surroundings): Explanation {
	const around = withProcess(given);
	const state = stateWord(task.state);
	const movedMs = isFinal(state)
		? (task.finished_at ?? task.created_at).getTime()
		: (task.transitions.at(-1)?.[1] ?? task.created_at.getTime());
	const { endpoint, online } = around;
	const reason = reasonOf(task, state, movedMs, around);
	const again = isFinal(state) || state === "running" ? "" : repeatedText(task);
	const stopping = task.cancel_requested_at !== null && !isFinal(state) ? " It has been asked to stop." : "";
	return {
		task_id: task.id,
		state,
		word: reason.word,
		sentence: reason.sentence + again + stopping,
		since: new Date(Math.max(movedMs, reason.sinceMs ?? 0)).toISOString(),
		endpoint_id: task.endpoint_id,
		endpoint_name: endpoint?.name ?? "",
		endpoint_status: online ? "online" : "offline",
		endpoint_seen_at: endpoint?.last_seen_at?.toISOString() ?? null,
		version_skew: task.version_skew,
		trouble: (endpoint && readStatusDetails(endpoint.details).trouble) ?? null,
	};
}

/** A manager runs nothing: what its process for the task says of itself is what there is to say of the endpoint. */
function withProcess(around: Surroundings): Surroundings {
	const { endpoint, userEndpoint } = around;
	if (endpoint === undefined || userEndpoint === undefined) return around;
	const { details, heartbeat_period_ms } = userEndpoint;
	return { ...around, endpoint: { ...endpoint, details, heartbeat_period_ms } };
}

function reasonOf(task: ExplainedTask, state: TaskState, movedMs: number, around: Surroundings): Reason {
	const { nowMs } = around;
	const age = (ms: number): string => ageText(nowMs - ms);
	const actor = task.transitions.at(-1)?.[2] ?? "";
	const host = actor === "" || actor === "endpoint" ? "a node" : actor;
	const absent = absenceOf(around);
	switch (state) {
		case "success":
			return { word: null, sentence: `It does not wait: it ended well ${age(movedMs)} ago.` };
		case "cancelled":
			return { word: null, sentence: `It does not wait: it was cancelled ${age(movedMs)} ago.` };
		case "failed":
			return { word: null, sentence: `It does not wait: it failed ${age(movedMs)} ago${failureText(task)}.` };
		case "running":
			return {
				word: null,
				sentence:
					`It does not wait: it has been running on ${host} for ${age(movedMs)}.` +
					(absent === undefined ? "" : ` ${absent.sentence}${afterwards(around)}`),
			};
		case "received":
			return absent ?? onItsWay(task, movedMs, around);
		case "waiting-for-nodes":
			return absent ?? atEndpoint(task, around);
		case "waiting-for-launch":
			return absent ?? atNode(task, around);
	}
}

/** What an absence means for what runs. A process of the public interface is all that there is of it. */
const afterwards = ({ userEndpoint }: Surroundings): string =>
	userEndpoint?.native === false ? " What ran there may be lost with it." : " What runs there goes on.";

/** Undefined while whoever runs it is there. */
function absenceOf(around: Surroundings): Reason | undefined {
	const { userEndpoint } = around;
	if (userEndpoint?.online) return undefined;
	return absenceOfEndpoint(around) ?? (userEndpoint && absenceOfProcess(userEndpoint, around));
}

function absenceOfProcess(process: ExplainedUserEndpoint, { endpoint, nowMs }: Surroundings): Reason {
	const name = endpoint?.name;
	const { start_error: error, start_error_transient: transient, asked_at: asked, last_seen_at: seen } = process;
	if (error !== null)
		return {
			word: "user-endpoint-failed",
			sentence: `Endpoint ${name} could not start the process for this task${transient ? ", and is asked again within two minutes" : ""}: ${error.split("\n")[0]}`,
			...(asked && { sinceMs: asked.getTime() }),
		};
	if (asked !== null && (seen === null || seen < asked))
		return {
			word: "user-endpoint-starting",
			sentence: `Endpoint ${name} was asked ${ageText(nowMs - asked.getTime())} ago to start the process for this task, which has not come up yet.`,
			sinceMs: asked.getTime(),
		};
	return {
		word: "user-endpoint-stopped",
		sentence:
			`Endpoint ${name} does not run the process for this task${seen === null ? "" : `, last heard of ${ageText(nowMs - seen.getTime())} ago`}; ` +
			"it is asked to start it within two minutes.",
		...(seen && { sinceMs: seen.getTime() }),
	};
}

/** Undefined while the endpoint is there. */
function absenceOfEndpoint({ endpoint, online, nowMs }: Surroundings): Reason | undefined {
	if (endpoint === undefined)
		return { word: "endpoint-stopped", sentence: "Its endpoint has been deleted: nobody can run it. Cancel it." };
	if (online) return undefined;
	const { name, last_seen_at: seen, locked_until: locked, active } = endpoint;
	const start = `errand endpoint start ${name}`;
	if (seen === null)
		return {
			word: "endpoint-never-started",
			sentence: `Endpoint ${name} has never been started; it runs when somebody starts it there: ${start}.`,
		};
	const sinceMs = seen.getTime();
	if (locked !== null && locked.getTime() > nowMs)
		return {
			word: "endpoint-stopped",
			sentence: `Endpoint ${name} is locked until ${clockText(locked.getTime())}; it runs when somebody starts it again after that: ${start}.`,
			sinceMs,
		};
	if (!active)
		return {
			word: "endpoint-stopped",
			sentence: `Endpoint ${name} was stopped ${ageText(nowMs - sinceMs)} ago; it runs when somebody starts it again: ${start}.`,
			sinceMs,
		};
	return {
		word: "endpoint-offline",
		sentence:
			`Endpoint ${name} has been offline since ${clockText(sinceMs)} (${ageText(nowMs - sinceMs)} ago); ` +
			`it goes on when the endpoint is back: ${start}.`,
		sinceMs,
	};
}

function atNode(task: ExplainedTask, { endpoint }: Surroundings): Reason {
	const own = saidOf(task, endpoint);
	if (own?.word === "worker-starting") return own;
	return { word: "worker-starting", sentence: "A node has it, and starts it as soon as a worker there is free." };
}

/** Of many tasks the endpoint tells by and by: those of the same demand wait for the same, told or not. */
function onItsWay(task: ExplainedTask, movedMs: number, { endpoint, nowMs }: Surroundings): Reason {
	const ageMs = nowMs - movedMs;
	const own = ageMs > quietMs ? saidOf(task, endpoint) : undefined;
	if (own !== undefined) return own;
	const late = ageMs > deliveryMs;
	const name = task.endpoint_name;
	return {
		word: "delivery",
		sentence:
			`It is recorded and on its way to endpoint ${name}, which has not said that it has it.` +
			(late ? ` That usually takes less than a second; look into its log: errand endpoint logs ${name}.` : ""),
	};
}

/** The endpoint's own word for what asks for the same; without one, what its blocks tell. */
function atEndpoint(task: ExplainedTask, { endpoint, nowMs }: Surroundings): Reason {
	const own = saidOf(task, endpoint);
	if (own !== undefined) return own;
	const told = readStatusDetails(endpoint?.details ?? {});
	const name = endpoint?.name ?? task.endpoint_name;
	if (told.paused !== undefined)
		return {
			word: "paused",
			sentence: `Endpoint ${name} asks for no more nodes until somebody resumes it (errand endpoint resume ${name}): ${told.paused}`,
		};
	const more = `it says more within ${Math.round((endpoint?.heartbeat_period_ms ?? defaultPeriodMs) / 1000)} s`;
	for (const { states, word, sentence } of blockReasons) {
		const blocks = told.blocks.filter((block) => states.includes(block.state));
		if (blocks.length > 0) return { word, sentence: sentence({ name, blocks, nowMs, more, idle: told.idle_workers }) };
	}
	return { word: "block-pending", sentence: `Endpoint ${name} has it and tells of no nodes yet; ${more}.` };
}

/** What the endpoint says of tasks that ask for the same. */
function saidOf({ resources }: ExplainedTask, endpoint: ExplainedEndpoint | undefined): Reason | undefined {
	const demand = demandKey(resources === null ? undefined : toResources(resources));
	const row = readStatusDetails(endpoint?.details ?? {}).waiting.find((row) => row.demand === demand);
	return row && { word: row.word, sentence: row.sentence };
}

/** What an endpoint's heartbeat tells of its blocks of one kind. */
interface Told {
	readonly name: string;
	readonly blocks: readonly BlockSummary[];
	readonly nowMs: number;
	/** When it will say more. */
	readonly more: string;
	readonly idle: number | undefined;
}

/** From the best news to the worst: what is nearest to running it is what it waits for. */
const blockReasons: readonly {
	readonly states: readonly string[];
	readonly word: WaitingWord;
	readonly sentence: (told: Told) => string;
}[] = [
	{
		states: ["active"],
		word: "nodes-busy",
		sentence: ({ name, blocks, more, idle }) => {
			const nodes = counted(sum(blocks), "node");
			return idle === 0
				? `Endpoint ${name} has it; ${nodes} ${sum(blocks) === 1 ? "is" : "are"} at work, and every worker there is busy.`
				: `Endpoint ${name} has it, and ${nodes} at work; ${more}.`;
		},
	},
	{
		states: ["starting"],
		word: "block-starting",
		sentence: ({ name, blocks }) =>
			`${counted(blocks.length, "block")} of endpoint ${name} ${blocks.length === 1 ? "has its nodes" : "have their nodes"} and starts there.`,
	},
	{
		states: ["requested", "submitted"],
		word: "block-pending",
		sentence: ({ name, blocks, nowMs }) =>
			`${counted(blocks.length, "block")} of endpoint ${name} ${blocks.length === 1 ? "waits" : "wait"} at the scheduler` +
			`${schedulerText(blocks)}${expectedText(blocks, nowMs)}.`,
	},
	{
		states: ["held"],
		word: "block-held",
		sentence: ({ name, blocks }) =>
			`${counted(blocks.length, "block")} of endpoint ${name} ${blocks.length === 1 ? "is" : "are"} held by the scheduler${schedulerText(blocks)}.`,
	},
];

const sum = (blocks: readonly BlockSummary[]): number => blocks.reduce((nodes, block) => nodes + block.nodes, 0);

function schedulerText(blocks: readonly BlockSummary[]): string {
	const reason = blocks.find((block) => block.reason !== "")?.reason;
	return reason === undefined ? "" : `, which says: ${reason}`;
}

function expectedText(blocks: readonly BlockSummary[], nowMs: number): string {
	const times = blocks.flatMap(({ expected_start_ms: at }) => (at === null || at < nowMs ? [] : [at]));
	return times.length === 0 ? "" : `; it expects a start at ${clockText(Math.min(...times))}`;
}

/** A task that came back from a lost node says so. */
function repeatedText({ transitions }: ExplainedTask): string {
	const reason = transitions.at(-1)?.[3] ?? "";
	return reason === "" ? "" : ` It was put back: ${reason}.`;
}

function failureText({ failure }: ExplainedTask): string {
	if (failure === null) return "";
	return ` (${failure.name === "" ? failure.code : failure.name}: ${failure.message.split("\n")[0]})`;
}

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** Minutes are enough, and the zone is said. */
const clockText = (ms: number): string => `${new Date(ms).toISOString().slice(0, 16).replace("T", " ")} UTC`;

const ages = [
	[86_400_000, "d"],
	[3_600_000, "h"],
	[60_000, "min"],
	[1000, "s"],
] as const;

function ageText(ms: number): string {
	const [unitMs, unit] = ages.find(([unitMs]) => ms >= unitMs) ?? [1000, "s"];
	return `${Math.max(0, Math.floor(ms / unitMs))} ${unit}`;
}
