/** An endpoint as the command line tells it: what the cloud knows, and what runs on this machine. */
import { isFinal } from "@errand/proto";
import { type EndpointSummary, endpointStatusDetails, endpointSummary, type TaskDocument } from "@errand/proto/rest";
import * as z from "zod";
import type { Client } from "../src/index.ts";
import type { Context } from "./context.ts";
import { formatAge } from "./duration.ts";
import { endpointFiles, localEndpoints, readCredentials, runningEndpoint } from "./endpoint-files.ts";
import type { Home } from "./home.ts";
import { type Screen, stateColours } from "./screen.ts";

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
	const details = endpointStatusDetails.partial().safeParse(endpoint.details);
	if (!details.success || endpoint.status === "offline") return "";
	const { total_workers: total, idle_workers: idle } = details.data;
	return total === undefined ? "" : `${total - (idle ?? total)} of ${total} busy`;
}

/** BAL-13: a task that waits for a daemon which is not there, said in one sentence. */
export function waitsForEndpoint({ name, last_seen_at: seen }: EndpointSummary, nowMs: number): string {
	const since = seen === null ? "it has never been online" : `it was last seen ${formatAge(Date.parse(seen), nowMs)}`;
	return `Endpoint ${name} is offline (${since}): its tasks wait until it is started again (errand endpoint start ${name}).`;
}

/** Says so when a task that somebody waits for waits for its endpoint. An endpoint that is gone says nothing. */
export async function noteOffline(
	context: Pick<Context, "note" | "now">,
	client: Client,
	task: Pick<TaskDocument, "endpoint_id" | "state">,
): Promise<void> {
	if (isFinal(task.state)) return;
	const endpoint = await client.getEndpoint(task.endpoint_id).catch(() => undefined);
	if (endpoint?.status === "offline") context.note(waitsForEndpoint(endpoint, context.now()));
}

export function showEndpoint(endpoint: EndpointView, nowMs: number, screen: Screen): void {
	const seen = endpoint.last_seen_at;
	screen.pairs([
		["endpoint", screen.style("bold", endpoint.name)],
		["display name", endpoint.display_name ?? undefined],
		["id", endpoint.id],
		["status", screen.style(stateColours[endpoint.status], endpoint.status)],
		[
			"last seen",
			seen === null ? "never" : `${formatAge(Date.parse(seen), nowMs)}${endpoint.host ? ` on ${endpoint.host}` : ""}`,
		],
		["workers", workersText(endpoint)],
		["unfinished", `${endpoint.unfinished_tasks} tasks`],
		["directory", endpoint.here?.directory],
		["process here", endpoint.here ? (endpoint.here.pid === null ? "none" : String(endpoint.here.pid)) : undefined],
	]);
}
