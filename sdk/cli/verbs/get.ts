import { existsSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { transferDocument } from "@errand/proto/rest";
import * as z from "zod";
import { Complaint } from "../complaint.ts";
import { moveOwn } from "../move-own.ts";
import { ownCollection } from "../own-collection.ts";
import { transferOptionInput, transferOptionRows } from "../transfer-options.ts";
import { parsePlace } from "../transfer-place.ts";
import { showTransfer, transferExit } from "../transfer-view.ts";
import { verb } from "../verb.ts";

export const get = verb({
	name: "get",
	summary: "Fetch a file or directory from an endpoint's collection to this computer",
	arguments: [
		{ name: "source", summary: "ENDPOINT:/COLLECTION/PATH", completes: "endpoint" },
		{
			name: "path",
			summary: "of this computer; without it, the same name, here",
			takes: "optional",
			completes: "file",
		},
	],
	options: transferOptionRows,
	examples: [
		["errand get alcf:/scratch/result.h5", "into the directory that you are in"],
		["errand get -r alcf:/scratch/run7 run7", "a directory"],
	],
	input: z.object({ source: z.string(), path: z.string().optional(), ...transferOptionInput }),
	output: transferDocument,
	json: "document",
	show: showTransfer,
	ids: (one) => [one.id],
	exit: transferExit,
	async *run(context, input) {
		const from = parsePlace(input.source);
		const name = basename(from.path);
		const typed = resolve(context.workingDirectory, input.path ?? name);
		const isFolder = input.path !== undefined && !input.recursive && existsSync(typed) && statSync(typed).isDirectory();
		const path = isFolder ? join(typed, name) : typed;
		if (!existsSync(dirname(path))) throw new Complaint("usage", `there is no directory ${dirname(path)}`);
		yield await moveOwn(context, input, {
			directory: dirname(path),
			readOnly: false,
			ends: (agentId) => ({
				source_endpoint: from.endpoint,
				destination_endpoint: agentId,
				source_path: from.path,
				destination_path: `/${ownCollection}/${basename(path)}`,
			}),
		});
	},
});
