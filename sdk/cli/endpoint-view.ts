/** An endpoint as the command line tells it: what the cloud knows, and what runs on this machine. */
import {
	type BlockSummary,
	type EndpointSummary,
	endpointSummary,
	readStatusDetails,
	type WaitingSummary,
} from "@errand/proto/rest";
import * as z from "zod";
import { formatAge, formatDuration } from "./duration.ts";
import { endpointFiles, localEndpoints, readCredentials, runningEndpoint } from "./endpoint-files.ts";
import type { Home } from "./home.ts";
import { type Screen, stateColours } from "./screen.ts";
import type { Column } from "./table.ts";

export const endpointView = endpointSummary.extend({
	/** This machine's part: null when the endpoint lives elsewhere. */
	here: z.object({ directory: z.string(), pid: z.int().nullable() }).nullable(),
});
export type EndpointView = z.infer<typeof endpointView>;

/** Joins by id, so that an endpoint of the same name on another cloud is not mistaken for this one. */
export function withLocalPart(home: Home, endpoints: readonly EndpointSummary[]): EndpointView[] {
	const byId = new Map<string, EndpointView["here"]>();
	for (const name of localEndpoints(home)) {
		const files = endpointFiles(home, name);
		const id = readCredentials(files)?.endpoint_id;
		if (id) byId.set(id, { directory: files.directory, pid: runningEndpoint(files)?.pid ?? null });
	}
	return endpoints.map((endpoint) => ({ ...endpoint, here: byId.get(endpoint.id) ?? null }));
}

export function workersText(endpoint: EndpointView): string {
	if (endpoint.status === "offline") return "";
	const { total_workers: total, idle_workers: idle } = readStatusDetails(endpoint.details);
	return total === undefined ? "" : `${total - (idle ?? total)} of ${total} busy`;
}

/** BAL-13: a task that waits for a daemon which is not there, said in one sentence. */
export function waitsForEndpoint({ name, last_seen_at: seen }: EndpointSummary, nowMs: number): string {
	const since = seen === null ? "it has never been online" : `it was last seen ${formatAge(Date.parse(seen), nowMs)}`;
	return `Endpoint ${name} is offline (${since}): its tasks wait until it is started again (errand endpoint start ${name}).`;
}

/** `online`, or `online, paused`: somebody has to do something before more nodes are asked for. */
export function statusText(endpoint: EndpointSummary, screen: Screen): string {
	const status = screen.style(stateColours[endpoint.status], endpoint.status);
	const { paused, trouble } = readStatusDetails(endpoint.details);
	if (paused !== undefined) return `${status}, ${screen.style("red", "paused")}`;
	return trouble !== undefined && endpoint.status === "online"
		? `${status}, ${screen.style("yellow", "trouble")}`
		: status;
}

export function showEndpoint(endpoint: EndpointView, nowMs: number, screen: Screen): void {
	const seen = endpoint.last_seen_at;
	const { paused, trouble, scheduler, blocks, waiting, user_endpoints: users } = readStatusDetails(endpoint.details);
	screen.pairs([
		["endpoint", screen.style("bold", endpoint.name)],
		["display name", endpoint.display_name ?? undefined],
		["id", endpoint.id],
		["status", statusText(endpoint, screen)],
		["paused", paused && `${paused}\nNext: errand endpoint resume ${endpoint.name}`],
		["trouble", trouble],
		[
			"last seen",
			seen === null ? "never" : `${formatAge(Date.parse(seen), nowMs)}${endpoint.host ? ` on ${endpoint.host}` : ""}`,
		],
		["scheduler", users === undefined ? scheduler : undefined],
		["user endpoints", users === undefined ? undefined : `${users} (errand endpoint users ${endpoint.name})`],
		["workers", users === undefined ? workersText(endpoint) : undefined],
		["unfinished", `${endpoint.unfinished_tasks} tasks`],
		["directory", endpoint.here?.directory],
		["process here", endpoint.here ? (endpoint.here.pid === null ? "none" : String(endpoint.here.pid)) : undefined],
	]);
	// What was told last; while the endpoint is offline nobody knows better.
	if (blocks.length > 0) {
		screen.line("");
		screen.table(blocks, blockColumns(nowMs, screen), "");
	}
	if (waiting.length > 0) {
		screen.line("");
		screen.table(waiting, waitingColumns, "");
	}
}

function blockColumns(nowMs: number, screen: Screen): Column<BlockSummary>[] {
	return [
		{ title: "block", cell: (block) => block.id.slice(0, 8) },
		{ title: "queue", cell: (block) => block.queue },
		{
			title: "state",
			cell: (block) => `${screen.style(stateColours[block.state], block.state)} ${formatAge(block.since_ms, nowMs)}`,
		},
		{ title: "job", cell: (block) => block.job_id ?? "" },
		{ title: "nodes", align: "right", cell: (block) => String(block.nodes) },
		{ title: "managers", align: "right", cell: (block) => String(block.managers) },
		{ title: "expected start", cell: (block) => fromNow(block.expected_start_ms, nowMs) },
		{ title: "ends", cell: (block) => fromNow(block.ends_at_ms, nowMs) },
		{ title: "scheduler says", cell: (block) => block.reason },
	];
}

const waitingColumns: readonly Column<WaitingSummary>[] = [
	{ title: "waiting", align: "right", cell: (row) => String(row.tasks) },
	{ title: "asking for", cell: (row) => row.demand },
	{ title: "why", cell: (row) => row.word },
	{ title: "", cell: (row) => row.sentence },
];

/** `in 40 min`; a time that has come is `now`. */
function fromNow(atMs: number | null, nowMs: number): string {
	if (atMs === null) return "";
	return atMs <= nowMs ? "now" : `in ${formatDuration(atMs - nowMs)}`;
}
