import * as z from "zod";
import { Complaint } from "../complaint.ts";
import { formatPartner, isPartner } from "../share-partner.ts";
import { verb } from "../verb.ts";

export const endpointUnshare = verb({
	name: "endpoint unshare",
	summary: "End a share of an endpoint; what was submitted before is run",
	arguments: [{ name: "endpoint", summary: "name or id", completes: "endpoint" }],
	options: [{ flags: "--with <who>", summary: "a username, or group:NAME" }],
	examples: [["errand endpoint unshare gpu --with bob", "within seconds nothing more is taken from bob"]],
	input: z.object({
		endpoint: z.string(),
		with: z.string({ error: "say with whom: --with USERNAME, or --with group:NAME" }).min(1),
	}),
	output: z.object({ id: z.uuid(), endpoint: z.string(), with: z.string() }),
	json: "document",
	show: (ended, screen) => screen.line(`Endpoint ${ended.endpoint} is not shared with ${ended.with} any more.`),
	ids: ({ id }) => [id],
	async *run(context, input) {
		const client = await context.client();
		const endpoint = await client.getEndpoint(input.endpoint);
		const share = (await client.sharing.listShares(endpoint.id)).find((one) => isPartner(one, input.with));
		if (share === undefined)
			throw new Complaint("notFound", `endpoint ${endpoint.name} is not shared with ${input.with}`, {
				next: `errand endpoint shares ${endpoint.name}`,
			});
		await client.sharing.removeShare(endpoint.id, share.id);
		yield { id: share.id, endpoint: endpoint.name, with: formatPartner(share) };
	},
});
