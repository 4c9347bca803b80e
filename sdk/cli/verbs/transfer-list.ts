import { transferStatuses } from "@errand/proto";
import { transferDocument } from "@errand/proto/rest";
import * as z from "zod";
import { formatAge } from "../duration.ts";
import { whole } from "../input.ts";
import { allPages, collected } from "../selector.ts";
import { formatSize } from "../size.ts";
import { transferColours } from "../transfer-view.ts";
import { verb } from "../verb.ts";

export const transferList = verb({
	name: "transfer list",
	summary: "List your transfers, newest first",
	options: [
		{ flags: "-s, --status <statuses...>", summary: "only those", choices: transferStatuses },
		{ flags: "-n, --limit <count>", summary: "at most this many (default 20)" },
	],
	examples: [["errand transfer list --status ACTIVE INACTIVE", "what is not over"]],
	input: z.object({
		status: z.array(z.enum(transferStatuses)).optional(),
		limit: whole(1, 100_000).default(20),
	}),
	output: z.object({ transfers: z.array(transferDocument), now: z.iso.datetime() }),
	json: "document",
	show: ({ transfers, now }, screen) =>
		screen.table(
			transfers,
			[
				{ title: "transfer", cell: (row) => row.id.slice(0, 8) },
				{ title: "from", cell: (row) => row.items[0]?.source_path ?? "" },
				{ title: "to", cell: (row) => row.items[0]?.destination_path ?? "" },
				{ title: "status", cell: (row) => screen.style(transferColours[row.status], row.status) },
				{ title: "files", align: "right", cell: (row) => `${row.counters.files_transferred}/${row.counters.files}` },
				{ title: "bytes", align: "right", cell: (row) => formatSize(row.counters.bytes_transferred) },
				{ title: "begun", cell: (row) => formatAge(Date.parse(row.created_at), Date.parse(now)) },
				{
					title: "why",
					cell: (row) => (row.status === "SUCCEEDED" ? row.label : row.nice_status_description).slice(0, 60),
				},
			],
			"No transfers.",
		),
	ids: ({ transfers }) => transfers.map((row) => row.id),
	async *run(context, { status, limit }) {
		const client = await context.client();
		const filter = { limit: Math.min(limit, 1000), ...(status && { statuses: status }) };
		const rows = allPages((cursor) => client.transfers.list({ ...filter, ...cursor }), limit);
		yield { transfers: await collected(rows), now: new Date(context.now()).toISOString() };
	},
});
