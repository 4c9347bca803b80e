import * as z from "zod";
import { formatAge } from "../duration.ts";
import { endpointView, statusText, withLocalPart, workersText } from "../endpoint-view.ts";
import { allPages, collected } from "../selector.ts";
import { verb } from "../verb.ts";

export const endpointList = verb({
	name: "endpoint list",
	summary: "List your endpoints",
	options: [{ flags: "--shared", summary: "those that others share with you, instead of your own" }],
	examples: [["errand endpoint list", "all of them, on this machine or elsewhere"]],
	input: z.object({ shared: z.boolean().default(false) }),
	output: z.object({ endpoints: z.array(endpointView), now: z.iso.datetime() }),
	json: "document",
	show: ({ endpoints, now }, screen) =>
		screen.table(
			endpoints,
			[
				{ title: "endpoint", cell: (row) => row.name },
				{ title: "status", cell: (row) => statusText(row, screen) },
				{ title: "host", cell: (row) => row.host ?? "" },
				{ title: "workers", cell: workersText },
				{ title: "unfinished", align: "right", cell: (row) => String(row.unfinished_tasks) },
				{
					title: "last seen",
					cell: (row) =>
						row.last_seen_at === null ? "never" : formatAge(Date.parse(row.last_seen_at), Date.parse(now)),
				},
				{ title: "id", cell: (row) => row.id },
			],
			"No endpoints. Next: errand endpoint configure local",
		),
	ids: ({ endpoints }) => endpoints.map((row) => row.id),
	async *run(context, { shared }) {
		const client = await context.client();
		const rows = shared
			? await client.sharing.listSharedEndpoints()
			: await collected(
					allPages((cursor) => client.listEndpoints({ limit: 500, ...cursor }), Number.POSITIVE_INFINITY),
				);
		yield { endpoints: withLocalPart(context.home, rows), now: new Date(context.now()).toISOString() };
	},
});
