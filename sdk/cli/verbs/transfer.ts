import { transferDocument } from "@errand/proto/rest";
import * as z from "zod";
import { transferOptionInput, transferOptionRows, transferOptionsOf } from "../transfer-options.ts";
import { destinationOf, parsePlace } from "../transfer-place.ts";
import { followTransfer, showTransfer, transferExit } from "../transfer-view.ts";
import { verb } from "../verb.ts";

export const transfer = verb({
	name: "transfer",
	summary: "Move files from one endpoint's collection to another's",
	arguments: [
		{ name: "source", summary: "ENDPOINT:/COLLECTION/PATH", completes: "endpoint" },
		{ name: "destination", summary: "ENDPOINT:/COLLECTION/PATH; with a slash at its end, into that directory" },
	],
	options: [
		...transferOptionRows,
		{ flags: "--route <way>", summary: "only this way", choices: ["direct", "relay"] },
		{ flags: "--label <text>", summary: "for you, to find it again" },
		{ flags: "-d, --detach", summary: "do not wait for its end" },
	],
	examples: [
		["errand transfer aps:/data/run7.h5 alcf:/scratch/run7.h5", "one file; shows how far it is"],
		["errand transfer -r --sync-level mtime aps:/data/run7 alcf:/scratch/run7", "a directory, what is newer of it"],
	],
	input: z.object({
		source: z.string(),
		destination: z.string(),
		...transferOptionInput,
		route: z.enum(["direct", "relay"]).optional(),
		label: z.string().max(256).optional(),
		detach: z.boolean().default(false),
	}),
	output: transferDocument,
	json: "document",
	show: showTransfer,
	ids: (one) => [one.id],
	exit: transferExit,
	async *run(context, input) {
		const [from, to] = [parsePlace(input.source), parsePlace(input.destination)];
		const client = await context.client();
		const submitted = await client.transfers.submit({
			source_endpoint: from.endpoint,
			destination_endpoint: to.endpoint,
			items: [{ source_path: from.path, destination_path: destinationOf(to, from.path), recursive: input.recursive }],
			...transferOptionsOf(input, context.now()),
			...(input.route && { route: input.route }),
			...(input.label && { label: input.label }),
		});
		if (!input.detach) context.note(`transfer ${submitted.id} (Ctrl-C leaves it going)`);
		yield input.detach ? submitted : await followTransfer(context, client, submitted.id);
	},
});
