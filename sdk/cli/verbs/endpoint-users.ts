import { userEndpointSummary } from "@errand/proto/rest";
import * as z from "zod";
import { formatAge } from "../duration.ts";
import { whole } from "../input.ts";
import { allPages, collected } from "../selector.ts";
import { verb } from "../verb.ts";

/** Of a configuration, in a table's row. */
const configCharacters = 60;

export const endpointUsers = verb({
	name: "endpoint users",
	summary: "List what an endpoint with a template runs, for whom: all on an endpoint of yours, else your own",
	arguments: [{ name: "endpoint", summary: "name or id", completes: "endpoint" }],
	options: [{ flags: "-n, --limit <count>", summary: "at most this many, the newest (default 1000)" }],
	examples: [["errand endpoint users cluster", "one row for each account and configuration"]],
	input: z.object({ endpoint: z.string(), limit: whole(1, 100_000).default(1000) }),
	output: z.object({ users: z.array(userEndpointSummary), now: z.iso.datetime() }),
	json: "document",
	show: ({ users, now }, screen) =>
		screen.table(
			users,
			[
				{ title: "account", cell: (row) => row.owner.username },
				{ title: "config", cell: (row) => shortened(JSON.stringify(row.config)) },
				{ title: "status", cell: (row) => row.status },
				{ title: "unfinished", align: "right", cell: (row) => String(row.unfinished_tasks) },
				{
					title: "last seen",
					cell: (row) =>
						row.last_seen_at === null ? "never" : formatAge(Date.parse(row.last_seen_at), Date.parse(now)),
				},
				{ title: "id", cell: (row) => row.id },
				{ title: "error", cell: (row) => row.start_error?.split("\n")[0] ?? "" },
			],
			"Nobody has submitted to it yet, or it has no template.",
		),
	ids: ({ users }) => users.map((row) => row.id),
	async *run(context, { endpoint, limit }) {
		const client = await context.client();
		const { id } = await client.getEndpoint(endpoint);
		const users = await collected(
			allPages((cursor) => client.listUserEndpoints(id, { limit: Math.min(limit, 500), ...cursor }), limit),
		);
		yield { users, now: new Date(context.now()).toISOString() };
	},
});

function shortened(text: string): string {
	return text.length > configCharacters ? `${text.slice(0, configCharacters - 1)}…` : text;
}
