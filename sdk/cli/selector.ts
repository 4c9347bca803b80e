/** What people type for a task, a function or an endpoint → the thing itself. */
import { type FunctionId, parseId, type TaskId } from "@errand/proto";
import type { EndpointSummary, FunctionSummary, TransferDocument } from "@errand/proto/rest";
import type { Client } from "../src/index.ts";
import { Complaint } from "./complaint.ts";
import type { Context } from "./context.ts";
import { recallTask } from "./last-task.ts";

const leastPrefix = 4;

/** An id, the first four or more characters of one, or `last`. */
export async function selectTask(context: Context, client: Client, text: string): Promise<TaskId> {
	if (text === "last") {
		const last = recallTask(context.home, client.cloudUrl);
		if (last) return last;
		throw new Complaint("notFound", `there is no last task on ${client.cloudUrl}`, { next: "errand task list" });
	}
	const whole = parseId<TaskId>(text);
	if (whole) return whole;
	const prefix = checkedPrefix(text, "task");
	const { items } = await client.listTasks({ idPrefix: prefix, limit: 4 });
	return theOnly(items, text, "task", (task) => task.id, "errand task list") as TaskId;
}

export async function selectTasks(context: Context, client: Client, texts: readonly string[]): Promise<TaskId[]> {
	const ids: TaskId[] = [];
	for (const text of texts) ids.push(await selectTask(context, client, text));
	return [...new Set(ids)];
}

/** An id, the first characters of one, or a name that only one of the functions has. */
export async function selectFunction(client: Client, text: string): Promise<FunctionId> {
	const whole = parseId<FunctionId>(text);
	if (whole) return whole;
	const matches: FunctionSummary[] = [];
	for await (const row of allFunctions(client))
		if (row.name === text || (text.length >= leastPrefix && row.id.startsWith(text.toLowerCase()))) matches.push(row);
	return theOnly(matches, text, "function", (row) => row.id, "errand function list") as FunctionId;
}

/** By id or name; `undefined`: the one that ERRAND_ENDPOINT names, or the only one there is. */
export async function selectEndpoint(
	context: Context,
	client: Client,
	text: string | undefined,
): Promise<EndpointSummary> {
	const named = text ?? context.environment.ERRAND_ENDPOINT;
	if (named) return await client.getEndpoint(named);
	const { items } = await client.listEndpoints({ limit: 2 });
	if (items.length === 1 && items[0]) return items[0];
	const why = items.length === 0 ? "there is no endpoint yet" : "there are several endpoints: say which with -e NAME";
	const next = items.length === 0 ? "errand endpoint configure local" : "errand endpoint list";
	throw new Complaint(items.length === 0 ? "notFound" : "usage", why, { next });
}

/** An id, or the first four or more characters of one. */
export async function selectTransfer(client: Client, text: string): Promise<TransferDocument> {
	const whole = parseId<never>(text);
	if (whole) return await client.transfers.get(whole);
	const { items } = await client.transfers.list({ idPrefix: checkedPrefix(text, "transfer"), limit: 4 });
	theOnly(items, text, "transfer", (row) => row.id, "errand transfer list");
	return items[0] as TransferDocument;
}

export async function* allFunctions(client: Client, most = Number.POSITIVE_INFINITY): AsyncGenerator<FunctionSummary> {
	yield* allPages((cursor) => client.listFunctions({ limit: 500, ...cursor }), most);
}

/** Rows of every page, at most `most`. */
export async function* allPages<Row>(
	fetchPage: (cursor: { cursor?: string }) => Promise<{ items: Row[]; next_cursor: string | null }>,
	most: number,
): AsyncGenerator<Row> {
	let cursor: string | null = null;
	let count = 0;
	do {
		const page: { items: Row[]; next_cursor: string | null } = await fetchPage(cursor === null ? {} : { cursor });
		for (const row of page.items) {
			if (count++ >= most) return;
			yield row;
		}
		cursor = page.next_cursor;
	} while (cursor !== null);
}

function checkedPrefix(text: string, kind: string): string {
	const lower = text.toLowerCase();
	if (/^[0-9a-f][0-9a-f-]*$/.test(lower) && lower.length >= leastPrefix) return lower;
	throw new Complaint(
		"usage",
		`"${text}" is not a ${kind}: give an id, its first ${leastPrefix} or more characters, or "last"`,
	);
}

/** A Complaint unless there is one. */
export function theOnly<Row>(
	rows: readonly Row[],
	text: string,
	kind: string,
	id: (row: Row) => string,
	list: string,
): string {
	const [first, ...others] = rows;
	if (first === undefined) throw new Complaint("notFound", `no ${kind} is "${text}"`, { next: list });
	if (others.length === 0) return id(first);
	const shown = rows.slice(0, 3).map(id).join(", ");
	throw new Complaint(
		"usage",
		`several ${kind.replace(/y$/, "ie")}s match "${text}": ${shown}${rows.length > 3 ? ", …" : ""}: give more characters`,
	);
}

export async function collected<Row>(rows: AsyncIterable<Row>): Promise<Row[]> {
	const all: Row[] = [];
	for await (const row of rows) all.push(row);
	return all;
}
