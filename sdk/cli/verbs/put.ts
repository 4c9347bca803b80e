import { existsSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { transferDocument } from "@errand/proto/rest";
import * as z from "zod";
import { Complaint } from "../complaint.ts";
import { moveOwn } from "../move-own.ts";
import { ownCollection } from "../own-collection.ts";
import { transferOptionInput, transferOptionRows } from "../transfer-options.ts";
import { destinationOf, parsePlace } from "../transfer-place.ts";
import { showTransfer, transferExit } from "../transfer-view.ts";
import { verb } from "../verb.ts";

export const put = verb({
	name: "put",
	summary: "Send a file or directory of this computer to an endpoint's collection",
	arguments: [
		{ name: "path", summary: "of this computer", completes: "file" },
		{ name: "destination", summary: "ENDPOINT:/COLLECTION/PATH; with a slash at its end, into that directory" },
	],
	options: transferOptionRows,
	examples: [
		["errand put input.h5 alcf:/scratch/input.h5", "a file, by way of the cloud"],
		["errand put -r configs alcf:/scratch/", "a directory, into another"],
	],
	input: z.object({ path: z.string(), destination: z.string(), ...transferOptionInput }),
	output: transferDocument,
	json: "document",
	show: showTransfer,
	ids: (one) => [one.id],
	exit: transferExit,
	async *run(context, input) {
		const path = resolve(context.workingDirectory, input.path);
		if (!existsSync(path)) throw new Complaint("usage", `${input.path} does not exist`);
		const to = parsePlace(input.destination);
		yield await moveOwn(context, input, {
			directory: dirname(path),
			readOnly: true,
			ends: (agentId) => ({
				source_endpoint: agentId,
				destination_endpoint: to.endpoint,
				source_path: `/${ownCollection}/${basename(path)}`,
				destination_path: destinationOf(to, path),
			}),
		});
	},
});
