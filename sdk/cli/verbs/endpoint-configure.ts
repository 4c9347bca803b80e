import { existsSync } from "node:fs";
import { endpointRegistration } from "@errand/proto/rest";
import * as z from "zod";
import { findProgram, runProgram } from "../child-program.ts";
import { endpointFiles, readCredentials, writeCredentials } from "../endpoint-files.ts";
import { makePrivateDirectory } from "../home.ts";
import { verb } from "../verb.ts";

export const endpointConfigure = verb({
	name: "endpoint configure",
	summary: "Register an endpoint with the cloud and write its directory on this machine",
	arguments: [{ name: "name", summary: "its name, your own choice" }],
	options: [
		{ flags: "--scheduler <scheduler>", summary: "who gives nodes (default local: this machine)", choices: ["local"] },
		{ flags: "--display-name <text>", summary: "how it is shown to people" },
		{ flags: "--new-key", summary: "make a new key; the old one stops working" },
	],
	examples: [
		["errand endpoint configure local", "this machine; then: errand endpoint start local"],
		["errand endpoint configure local", "typed again: changes nothing that is right, repairs what is missing"],
	],
	input: z.object({
		name: endpointRegistration.shape.endpoint_name,
		scheduler: z.enum(["local"]).default("local"),
		displayName: z.string().max(256).optional(),
		newKey: z.boolean().default(false),
	}),
	output: z.object({
		id: z.uuid(),
		name: z.string(),
		directory: z.string(),
		config: z.string(),
		cloud_url: z.string(),
		new_key: z.boolean(),
	}),
	json: "document",
	show: (value, screen) => {
		screen.pairs([
			["endpoint", screen.style("bold", value.name)],
			["id", value.id],
			["cloud", value.cloud_url],
			["settings", value.config],
		]);
		screen.note(`Next: errand endpoint start ${value.name}`);
	},
	ids: (value) => [value.id],
	async *run(context, { name, scheduler, displayName, newKey }) {
		const client = await context.client();
		const files = endpointFiles(context.home, name);
		const { endpoint_id: id } = await client.registerEndpoint({
			endpoint_name: name,
			...(displayName !== undefined && { display_name: displayName }),
			metadata: {},
		});
		makePrivateDirectory(context.home.endpoints);
		makePrivateDirectory(files.directory);
		if (!existsSync(files.config))
			runProgram({
				name: "errand-endpoint init",
				program: findProgram("endpoint", context.environment),
				arguments: [
					"init",
					files.directory,
					"--name",
					name,
					...(scheduler === "local" ? [] : ["--scheduler", scheduler]),
				],
				environment: context.environment,
			});
		const known = newKey ? undefined : readCredentials(files);
		const keyIsGood = known?.endpoint_id === id && known.cloud_url === client.cloudUrl;
		if (!keyIsGood) {
			const key = await client.makeEndpointKey(id);
			writeCredentials(files, { cloud_url: client.cloudUrl, endpoint_id: id, ...key });
		}
		yield {
			id,
			name,
			directory: files.directory,
			config: files.config,
			cloud_url: client.cloudUrl,
			new_key: !keyIsGood,
		};
	},
});
