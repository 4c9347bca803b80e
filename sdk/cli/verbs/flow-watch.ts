import { runDocument, runLogEntry } from "@errand/proto/rest";
import * as z from "zod";
import { Complaint } from "../complaint.ts";
import { selectRun } from "../flow-selector.ts";
import { durationMs } from "../input.ts";
import { exitOfRun, showEntry, showRun } from "../run-view.ts";
import { verb } from "../verb.ts";

const pauseMs = { first: 50, growth: 1.5, most: 2_000 };

export const flowWatch = verb({
	name: "flow watch",
	summary: "Follow a run, state by state, until it ends",
	arguments: [{ name: "run", summary: "its id, its first characters, or last" }],
	options: [{ flags: "-t, --timeout <duration>", summary: "give up after this long (exit status 6); the run goes on" }],
	examples: [["errand flow watch last", "exit status 0 when it succeeded, 1 when it failed, 8 when it was cancelled"]],
	input: z.object({ run: z.string(), timeout: durationMs.optional() }),
	output: z.union([z.object({ entry: runLogEntry }), z.object({ run: runDocument })]),
	json: "lines",
	show: (value, screen) => {
		if ("entry" in value) showEntry(value.entry, screen);
		else showRun(value.run, screen);
	},
	ids: (value) => ("run" in value ? [value.run.run_id] : []),
	exit: (value) => ("run" in value ? exitOfRun(value.run) : undefined),
	async *run(context, { run: text, timeout }) {
		const client = await context.client();
		const { run_id: id } = await selectRun(client, text);
		const deadline = timeout === undefined ? Number.POSITIVE_INFINITY : context.now() + timeout;
		let marker: string | undefined;
		let waitMs = pauseMs.first;
		for (;;) {
			// Before its log is read: what ended it is in there by then.
			const run = await client.flows.getRun(id);
			const seen = marker;
			for (let more = true; more; ) {
				const page = await client.flows.runLog(id, { limit: 100, ...(marker !== undefined && { marker }) });
				for (const entry of page.entries) yield { entry };
				marker = page.end_marker ?? marker;
				more = page.has_next_page;
			}
			if (run.completion_time !== null) return yield { run };
			if (marker !== seen) waitMs = pauseMs.first;
			if (context.now() >= deadline)
				throw new Complaint("timeout", `run ${id} had not ended in time: it goes on`, {
					next: `errand flow show ${id.slice(0, 8)}`,
				});
			await context.pause(Math.min(waitMs, deadline - context.now()));
			waitMs = Math.min(waitMs * pauseMs.growth, pauseMs.most);
		}
	},
});
