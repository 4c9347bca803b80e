/** What people type for a flow or a run → the thing itself. */
import { parseId } from "@errand/proto";
import type { FlowDocument, RunDocument } from "@errand/proto/rest";
import { type Client, CloudError } from "../src/index.ts";
import { Complaint } from "./complaint.ts";

const leastPrefix = 4;
/** Newer ones that are looked through for a title or the first characters of an id. */
const lookedThrough = 1_000;

/** An id, its first characters, or a title that only one flow has. */
export async function selectFlow(client: Client, text: string): Promise<FlowDocument> {
	if (parseId(text)) return await client.flows.get(text);
	const found: FlowDocument[] = [];
	for await (const flow of allFlows(client, lookedThrough))
		if (flow.title === text || isPrefix(text, flow.id)) found.push(flow);
	return theOnly(found, text, "flow", (flow) => flow.id, "errand flow list");
}

/** An id, its first characters, or `last`: the newest of your own. */
export async function selectRun(client: Client, text: string): Promise<RunDocument> {
	if (parseId(text)) return await client.flows.getRun(text);
	const found: RunDocument[] = [];
	for await (const run of allRuns(client, lookedThrough)) {
		if (text === "last" && run.user_role === "run_owner") return run;
		if (isPrefix(text, run.run_id)) found.push(run);
	}
	return theOnly(found, text, "run", (run) => run.run_id, "errand flow runs");
}

/** A run, or a flow when there is no such run. */
export async function selectEither(
	client: Client,
	text: string,
): Promise<{ run: RunDocument } | { flow: FlowDocument }> {
	try {
		return { run: await selectRun(client, text) };
	} catch (error) {
		const unknown =
			(error instanceof Complaint && error.exit === "notFound") ||
			(error instanceof CloudError && error.code === "RUN_NOT_FOUND");
		if (!unknown) throw error;
		return { flow: await selectFlow(client, text) };
	}
}

export async function* allFlows(client: Client, most: number, text?: string): AsyncGenerator<FlowDocument> {
	yield* pages(most, async (page) => {
		const { flows, ...more } = await client.flows.list({ ...page, ...(text !== undefined && { text }) });
		return { rows: flows, ...more };
	});
}

export async function* allRuns(
	client: Client,
	most: number,
	filter: { flows?: readonly string[]; statuses?: readonly RunDocument["status"][] } = {},
): AsyncGenerator<RunDocument> {
	yield* pages(most, async (page) => {
		const { runs, ...more } = await client.flows.listRuns({ ...page, ...filter });
		return { rows: runs, ...more };
	});
}

async function* pages<Row>(
	most: number,
	next: (page: { limit: number; marker?: string }) => Promise<{ rows: Row[]; marker: string | null }>,
): AsyncGenerator<Row> {
	let marker: string | null = null;
	let left = most;
	do {
		const page: { rows: Row[]; marker: string | null } = await next({
			limit: Math.min(left, 100),
			...(marker !== null && { marker }),
		});
		yield* page.rows;
		left -= page.rows.length;
		marker = page.marker;
	} while (marker !== null && left > 0);
}

const isPrefix = (text: string, id: string): boolean => text.length >= leastPrefix && id.startsWith(text.toLowerCase());

function theOnly<Row>(rows: readonly Row[], text: string, kind: string, id: (row: Row) => string, list: string): Row {
	const [first, second] = rows;
	if (first === undefined) throw new Complaint("notFound", `no ${kind} is "${text}"`, { next: list });
	if (second === undefined) return first;
	const shown = rows.slice(0, 3).map(id).join(", ");
	throw new Complaint("usage", `several ${kind}s match "${text}": ${shown}${rows.length > 3 ? ", …" : ""}: give more`);
}
