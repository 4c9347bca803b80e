import { rmSync } from "node:fs";
import * as z from "zod";
import { Complaint } from "../complaint.ts";
import { endpointFiles, localEndpoints, readCredentials, runningEndpoint } from "../endpoint-files.ts";
import { verb } from "../verb.ts";

export const endpointDelete = verb({
	name: "endpoint delete",
	summary: "Delete an endpoint from the cloud, and its directory when it is on this machine",
	arguments: [{ name: "endpoint", summary: "name or id", completes: "endpoint" }],
	options: [{ flags: "-y, --yes", summary: "do not ask" }],
	examples: [["errand endpoint delete local", "asks first; its unfinished tasks are lost"]],
	input: z.object({ endpoint: z.string(), yes: z.boolean().default(false) }),
	output: z.object({ id: z.uuid(), name: z.string(), removed_directory: z.string().nullable() }),
	json: "document",
	show: ({ name, removed_directory: directory }, screen) =>
		screen.line(`Deleted endpoint ${name}${directory ? ` and ${directory}` : ""}.`),
	ids: ({ id }) => [id],
	async *run(context, input) {
		const client = await context.client();
		const { id, name, unfinished_tasks: unfinished } = await client.getEndpoint(input.endpoint);
		const files = localEndpoints(context.home)
			.map((local) => endpointFiles(context.home, local))
			.find((local) => readCredentials(local)?.endpoint_id === id);
		const running = files && runningEndpoint(files);
		if (running)
			throw new Complaint("conflict", `endpoint "${name}" is running on this machine (process ${running.pid})`, {
				next: `errand endpoint stop ${files.name}`,
			});
		if (!input.yes) {
			const answer = await context.ask(`Delete endpoint ${name} with ${unfinished} unfinished tasks? Type its name: `);
			if (answer.trim() !== name) throw new Complaint("usage", "nothing was deleted: that was another name");
		}
		await client.deleteEndpoint(id);
		if (files) rmSync(files.directory, { recursive: true, force: true });
		yield { id, name, removed_directory: files?.directory ?? null };
	},
});
