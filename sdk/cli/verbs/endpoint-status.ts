import * as z from "zod";
import { endpointView, showEndpoint, withLocalPart } from "../endpoint-view.ts";
import { selectEndpoint } from "../selector.ts";
import { verb } from "../verb.ts";

export const endpointStatus = verb({
	name: "endpoint status",
	summary: "Show one endpoint: its blocks, what its tasks wait for, and what runs here",
	arguments: [
		{
			name: "endpoint",
			takes: "optional",
			summary: "name or id; not needed when there is only one",
			completes: "endpoint",
		},
	],
	examples: [
		["errand endpoint status local", "online or offline, its blocks at the scheduler, and what its tasks wait for"],
	],
	input: z.object({ endpoint: z.string().optional() }),
	output: endpointView.extend({ now: z.iso.datetime() }),
	json: "document",
	show: (endpoint, screen) => showEndpoint(endpoint, Date.parse(endpoint.now), screen),
	ids: (endpoint) => [endpoint.id],
	async *run(context, input) {
		const endpoint = await selectEndpoint(context, await context.client(), input.endpoint);
		const now = new Date(context.now()).toISOString();
		for (const view of withLocalPart(context.home, [endpoint])) yield { ...view, now };
	},
});
