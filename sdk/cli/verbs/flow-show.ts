import { flowDocument, runDocument, runVisits } from "@errand/proto/rest";
import * as z from "zod";
import { selectEither } from "../flow-selector.ts";
import { showRun, showVisits } from "../run-view.ts";
import { verb } from "../verb.ts";

export const flowShow = verb({
	name: "flow show",
	summary: "Show a run with the states that it went through, or a flow",
	arguments: [{ name: "run-or-flow", summary: "a run's id or its first characters, last, or a flow's id or title" }],
	examples: [
		["errand flow show last", "your newest run"],
		["errand flow show analyse --json", "a flow's whole document"],
	],
	input: z.object({ runOrFlow: z.string() }),
	output: z.union([
		z.object({ run: runDocument, ...runVisits.shape, now: z.iso.datetime() }),
		z.object({ flow: flowDocument }),
	]),
	json: "document",
	show: (value, screen) => {
		if ("run" in value) {
			showRun(value.run, screen);
			screen.line("");
			showVisits(value.states, value.now, screen);
			if (value.truncated) screen.note("There are more states than are shown.");
			return;
		}
		const { flow } = value;
		screen.pairs([
			["flow", flow.id],
			["title", flow.title],
			["subtitle", flow.subtitle],
			["about", flow.description],
			["keywords", flow.keywords.join(", ")],
			["you are", flow.user_role.replace("flow_", "")],
			["owner", flow.flow_owner],
			["viewers", flow.flow_viewers.join(", ")],
			["starters", flow.flow_starters.join(", ")],
			["administrators", flow.flow_administrators.join(", ")],
			["changed", flow.updated_at],
			["begins with", JSON.stringify(flow.input_schema)],
			["definition", JSON.stringify(flow.definition, null, 2)],
		]);
	},
	ids: (value) => ["run" in value ? value.run.run_id : value.flow.id],
	async *run(context, { runOrFlow }) {
		const client = await context.client();
		const found = await selectEither(client, runOrFlow);
		if ("flow" in found) yield found;
		else
			yield {
				...found,
				...(await client.flows.runStates(found.run.run_id)),
				now: new Date(context.now()).toISOString(),
			};
	},
});
