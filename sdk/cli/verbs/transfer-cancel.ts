import { transferDocument } from "@errand/proto/rest";
import * as z from "zod";
import { selectTransfer } from "../selector.ts";
import { showTransfer } from "../transfer-view.ts";
import { verb } from "../verb.ts";

export const transferCancel = verb({
	name: "transfer cancel",
	summary: "End a transfer; files that are complete stay",
	arguments: [{ name: "transfer", summary: "id, or its first characters" }],
	examples: [["errand transfer cancel 0b2f8c0e", "what is half done is removed"]],
	input: z.object({ transfer: z.string() }),
	output: transferDocument,
	json: "document",
	show: showTransfer,
	ids: (row) => [row.id],
	async *run(context, { transfer }) {
		const client = await context.client();
		yield await client.transfers.cancel((await selectTransfer(client, transfer)).id);
	},
});
