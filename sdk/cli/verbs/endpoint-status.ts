import * as z from "zod";
import { endpointView, showEndpoint, withLocalPart } from "../endpoint-view.ts";
import { selectEndpoint } from "../selector.ts";
import { verb } from "../verb.ts";

export const endpointStatus = verb({
	name: "endpoint status",
	summary: "Show one endpoint: what the cloud knows and what runs here",
	arguments: [
		{
			name: "endpoint",
			takes: "optional",
			summary: "name or id; not needed when there is only one",
			completes: "endpoint",
		},
	],
	examples: [["errand endpoint status local", "online or offline, workers, unfinished tasks"]],
	input: z.object({ endpoint: z.string().optional() }),
	output: endpointView,
	json: "document",
	show: (endpoint, screen) => showEndpoint(endpoint, Date.now(), screen),
	ids: (endpoint) => [endpoint.id],
	async *run(context, input) {
		const endpoint = await selectEndpoint(context, await context.client(), input.endpoint);
		yield* withLocalPart(context.home, [endpoint]);
	},
});
