import { existsSync } from "node:fs";
import { type EndpointSummary, endpointRegistration } from "@errand/proto/rest";
import * as z from "zod";
import type { Client } from "../../src/index.ts";
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
		const known = readCredentials(files);
		const registered = known?.cloud_url === client.cloudUrl ? await findEndpoint(client, known.endpoint_id) : undefined;
		// A registration ends the connections of a daemon that runs: what is right already is left alone.
		const asIs = registered?.name === name && (displayName ?? registered.display_name) === registered.display_name;
		const id = asIs ? registered.id : await register(client, name, displayName);
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
		const keyIsGood = !newKey && known?.endpoint_id === id && known.cloud_url === client.cloudUrl;
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

async function register(client: Client, name: string, displayName: string | undefined): Promise<string> {
	const { endpoint_id: id } = await client.registerEndpoint({
		endpoint_name: name,
		...(displayName !== undefined && { display_name: displayName }),
		metadata: { errand_protocol: 1 },
	});
	return id;
}

/** Undefined when the cloud does not know it any more. */
async function findEndpoint(client: Client, id: string): Promise<EndpointSummary | undefined> {
	try {
		return await client.getEndpoint(id);
	} catch (error) {
		if ((error as { code?: unknown }).code === "ENDPOINT_NOT_FOUND") return undefined;
		throw error;
	}
}
