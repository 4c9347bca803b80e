import { flowDocument } from "@errand/proto/rest";
import * as z from "zod";
import { allFlows } from "../flow-selector.ts";
import { whole } from "../input.ts";
import { collected } from "../selector.ts";
import { verb } from "../verb.ts";

export const flowList = verb({
	name: "flow list",
	summary: "List the flows that you may see, newest first",
	options: [
		{ flags: "--search <text>", summary: "only with this in title or description" },
		{ flags: "-n, --limit <count>", summary: "at most this many (default 20)" },
	],
	examples: [["errand flow list --search tomography", "those about tomography"]],
	input: z.object({ search: z.string().max(256).optional(), limit: whole(1, 10_000).default(20) }),
	output: z.object({ flows: z.array(flowDocument) }),
	json: "document",
	show: ({ flows }, screen) =>
		screen.table(
			flows,
			[
				{ title: "flow", cell: (flow) => flow.id.slice(0, 8) },
				{ title: "title", cell: (flow) => flow.title },
				{ title: "you are", cell: (flow) => flow.user_role.replace("flow_", "") },
				{ title: "changed", cell: (flow) => flow.updated_at.slice(0, 10) },
				{ title: "about", cell: (flow) => (flow.subtitle || flow.description).slice(0, 60) },
			],
			"No flows. Next: errand flow create FILE",
		),
	ids: ({ flows }) => flows.map((flow) => flow.id),
	async *run(context, { search, limit }) {
		const client = await context.client();
		yield { flows: await collected(allFlows(client, limit, search)) };
	},
});
