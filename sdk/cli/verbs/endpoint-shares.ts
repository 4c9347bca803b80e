import { endpointShare } from "@errand/proto/rest";
import * as z from "zod";
import { formatPartner } from "../share-partner.ts";
import { verb } from "../verb.ts";

export const endpointShares = verb({
	name: "endpoint shares",
	summary: "List whom an endpoint of yours is shared with",
	arguments: [{ name: "endpoint", summary: "name or id", completes: "endpoint" }],
	examples: [["errand endpoint shares gpu", "who may run what there, and how much"]],
	input: z.object({ endpoint: z.string() }),
	output: z.object({ shares: z.array(endpointShare) }),
	json: "document",
	show: ({ shares }, screen) =>
		screen.table(
			shares,
			[
				{ title: "with", cell: formatPartner },
				{
					title: "functions",
					cell: (row) => (row.functions === null ? "any" : row.functions.map((id) => id.slice(0, 8)).join(" ")),
				},
				{ title: "tasks per day", align: "right", cell: (row) => String(row.tasks_per_day ?? "") },
				{ title: "image", cell: (row) => row.container_image ?? "" },
				{ title: "since", cell: (row) => row.created_at.slice(0, 10) },
			],
			"It is shared with nobody.",
		),
	ids: ({ shares }) => shares.map((row) => row.id),
	async *run(context, input) {
		const client = await context.client();
		const { id } = await client.getEndpoint(input.endpoint);
		yield { shares: await client.sharing.listShares(id) };
	},
});
