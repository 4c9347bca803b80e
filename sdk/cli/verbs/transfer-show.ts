import { transferDocument, transferEvent } from "@errand/proto/rest";
import * as z from "zod";
import { allPages, collected, selectTransfer } from "../selector.ts";
import { formatSize } from "../size.ts";
import { transferColours } from "../transfer-view.ts";
import { verb } from "../verb.ts";

const shownEvents = 1000;

export const transferShow = verb({
	name: "transfer show",
	summary: "Show a transfer: how far it is, and what has happened",
	arguments: [{ name: "transfer", summary: "id, or its first characters" }],
	examples: [["errand transfer show 0b2f8c0e", "with its events"]],
	input: z.object({ transfer: z.string() }),
	output: transferDocument.extend({ events: z.array(transferEvent) }),
	json: "document",
	show: (row, screen) => {
		const { counters } = row;
		screen.pairs([
			["transfer", row.id],
			["label", row.label || undefined],
			["from", row.source_endpoint],
			["to", row.destination_endpoint],
			[
				"items",
				row.items
					.map((item) => `${item.source_path} → ${item.destination_path}${item.recursive ? " (recursive)" : ""}`)
					.join("\n"),
			],
			[
				"status",
				`${screen.style(transferColours[row.status], row.status)}  ${row.nice_status}: ${row.nice_status_description}`,
			],
			["way", row.used_route],
			[
				"files",
				`${counters.files_transferred} of ${counters.files}; ${counters.files_skipped} were there, ${counters.files_failed} failed, ${counters.files_deleted} deleted`,
			],
			[
				"bytes",
				`${formatSize(counters.bytes_transferred)} of ${formatSize(counters.bytes)}, ${formatSize(row.effective_bytes_per_second)}/s`,
			],
			["verified", `${row.verify}, ${formatSize(counters.bytes_checksummed)}`],
			["faults", counters.faults > 0 ? String(counters.faults) : undefined],
			["deadline", row.deadline ?? undefined],
			["events", row.events.map((event) => `${event.time}  ${event.code}  ${event.description}`).join("\n")],
		]);
	},
	ids: (row) => [row.id],
	async *run(context, { transfer }) {
		const client = await context.client();
		const { id } = await selectTransfer(client, transfer);
		const events = allPages((cursor) => client.transfers.events(id, { limit: shownEvents, ...cursor }), shownEvents);
		yield { ...(await client.transfers.get(id)), events: await collected(events) };
	},
});
