import { endpointShare } from "@errand/proto/rest";
import * as z from "zod";
import { whole } from "../input.ts";
import { selectFunction } from "../selector.ts";
import { formatPartner, parsePartner } from "../share-partner.ts";
import { verb } from "../verb.ts";

export const endpointShareVerb = verb({
	name: "endpoint share",
	summary: "Let somebody run functions on an endpoint of yours, within limits",
	arguments: [{ name: "endpoint", summary: "name or id", completes: "endpoint" }],
	options: [
		{ flags: "--with <who>", summary: "a username, or group:NAME" },
		{
			flags: "-f, --function <function>",
			summary: "may be run; can be repeated",
			repeats: true,
			completes: "function",
		},
		{ flags: "--any-function", summary: "whatever they like may be run, with your rights" },
		{ flags: "--tasks-per-day <count>", summary: "for each person, from midnight UTC" },
		{ flags: "--image <image>", summary: "run their tasks in this container image" },
	],
	examples: [
		["errand endpoint share gpu --with bob --function mean --tasks-per-day 100", "bob may run mean, nothing else"],
		[
			"errand endpoint share gpu --with group:astro --any-function --image /images/safe.sif",
			"anything, in a container",
		],
	],
	input: z
		.object({
			endpoint: z.string(),
			with: z.string({ error: "say with whom: --with USERNAME, or --with group:NAME" }).min(1),
			function: z.array(z.string()).optional(),
			anyFunction: z.boolean().default(false),
			tasksPerDay: whole(1, 1_000_000_000).optional(),
			image: z.string().min(1).optional(),
		})
		.refine(
			(input) => (input.function !== undefined) !== input.anyFunction,
			"say which functions may be run with --function, or --any-function: they run with your rights",
		),
	output: endpointShare.extend({ endpoint: z.string() }),
	json: "document",
	show: (share, screen) =>
		screen.line(`Shared ${screen.style("bold", share.endpoint)} with ${screen.style("bold", formatPartner(share))}.`),
	ids: ({ id }) => [id],
	async *run(context, input) {
		const client = await context.client();
		const endpoint = await client.getEndpoint(input.endpoint);
		const functions = input.function && (await Promise.all(input.function.map((one) => selectFunction(client, one))));
		const share = await client.sharing.shareEndpoint(endpoint.id, {
			...parsePartner(input.with),
			functions: functions ?? null,
			tasks_per_day: input.tasksPerDay ?? null,
			container_image: input.image ?? null,
		});
		yield { ...share, endpoint: endpoint.name };
	},
});
