import { fileOutcomes } from "@errand/proto";
import { transferFile } from "@errand/proto/rest";
import * as z from "zod";
import { allPages, selectTransfer } from "../selector.ts";
import { verb } from "../verb.ts";

export const transferFiles = verb({
	name: "transfer files",
	summary: "List what became of each file of a transfer, with its digest",
	arguments: [{ name: "transfer", summary: "id, or its first characters" }],
	options: [{ flags: "--outcome <word>", summary: "only those", choices: fileOutcomes }],
	examples: [["errand transfer files 0b2f8c0e --json > manifest.ndjson", "to keep: path, bytes, digest, time"]],
	input: z.object({ transfer: z.string(), outcome: z.enum(fileOutcomes).optional() }),
	output: transferFile,
	json: "lines",
	show: (file, screen) =>
		screen.line(
			[file.outcome, String(file.bytes), file.digest ?? "-", file.path, file.reason ?? ""].join("  ").trimEnd(),
		),
	ids: (file) => [file.path],
	async *run(context, { transfer, outcome }) {
		const client = await context.client();
		const { id } = await selectTransfer(client, transfer);
		const filter = { limit: 1000, ...(outcome && { outcome }) };
		yield* allPages((cursor) => client.transfers.files(id, { ...filter, ...cursor }), Number.POSITIVE_INFINITY);
	},
});
