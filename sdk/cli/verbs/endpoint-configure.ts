import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { schedulerNames } from "@errand/proto";
import { type EndpointSummary, endpointRegistration } from "@errand/proto/rest";
import * as z from "zod";
import type { Client } from "../../src/index.ts";
import { Complaint } from "../complaint.ts";
import type { Context } from "../context.ts";
import { type EndpointFiles, endpointFiles, readCredentials, writeCredentials } from "../endpoint-files.ts";
import { type Answers, completeAnswers, initialiseEndpoint, surveyEndpoint } from "../endpoint-survey.ts";
import { makePrivateDirectory } from "../home.ts";
import { verb } from "../verb.ts";

const input = z.object({
	name: endpointRegistration.shape.endpoint_name,
	site: z.string().min(1).optional(),
	scheduler: z.enum(schedulerNames).optional(),
	detect: z.boolean().default(false),
	account: z.string().optional(),
	queue: z.string().optional(),
	walltime: z.string().optional(),
	set: z.array(z.string().regex(/^[a-z_.]+=/, "is written SETTING=VALUE, like max_blocks=4")).default([]),
	displayName: z.string().max(256).optional(),
	multiUser: z.boolean().default(false),
	newKey: z.boolean().default(false),
});
type Input = z.infer<typeof input>;

export const endpointConfigure = verb({
	name: "endpoint configure",
	summary: "Register an endpoint with the cloud and write its directory on this machine",
	arguments: [{ name: "name", summary: "your own choice; the name of a site that we know takes that site's settings" }],
	options: [
		{ flags: "--site <site>", summary: "a site that we know (docs/sites), or the path of a description of your own" },
		{
			flags: "--scheduler <scheduler>",
			summary: "who gives nodes (default: whoever answers here)",
			choices: schedulerNames,
		},
		{ flags: "--account <account>", summary: "who pays" },
		{ flags: "--queue <queue>", summary: "the scheduler's queue or partition" },
		{ flags: "--walltime <duration>", summary: "how long one block may last, like 2h" },
		{ flags: "--set <setting=value>", summary: "any other setting of config.yaml; may be said again", repeats: true },
		{ flags: "--detect", summary: "ask the schedulers of this machine, whatever the name is" },
		{ flags: "--display-name <text>", summary: "how it is shown to people" },
		{
			flags: "--multi-user",
			summary: "a manager: everybody it serves gets endpoints of their own, made of a template",
		},
		{ flags: "--new-key", summary: "make a new key; the old one stops working" },
	],
	examples: [
		["errand endpoint configure local", "this machine; then: errand endpoint start local"],
		["errand endpoint configure polaris --account MyProject", "on a login node of Polaris, whose settings we know"],
		["errand endpoint configure cluster", "asks the scheduler that answers here, and you for the rest"],
		["errand endpoint configure big --site frontier --account ABC123 --set max_blocks=4", "without a question"],
		[
			"errand endpoint configure campus --multi-user",
			"as root: for many people; as yourself: several configurations at once",
		],
		["errand endpoint configure local", "typed again: changes nothing that is right, repairs what is missing"],
	],
	input,
	output: z.object({
		id: z.uuid(),
		name: z.string(),
		directory: z.string(),
		config: z.string(),
		/** Of what the configuration was made; null when it was there already. */
		made_for: z.string().nullable(),
		cloud_url: z.string(),
		new_key: z.boolean(),
		/** Whether it has a template, so that it starts endpoints for people instead of running tasks itself. */
		multi_user: z.boolean(),
	}),
	json: "document",
	show: (value, screen) => {
		screen.pairs([
			["endpoint", screen.style("bold", value.name)],
			["id", value.id],
			["cloud", value.cloud_url],
			["settings", `${value.config}${value.made_for === null ? "" : ` (for ${value.made_for})`}`],
		]);
		if (value.multi_user)
			screen.note(
				`What people get is in ${value.directory}: user_config_template.yaml.j2, user_config_schema.json, user_environment.yaml; ` +
					"as root also write identity_mapping.json (an example is beside it).",
			);
		if (value.made_for !== null && value.made_for !== "this machine" && !value.multi_user)
			screen.note(`Next: errand endpoint doctor ${value.name} --canary`);
		screen.note(
			`${value.made_for === null || value.made_for === "this machine" ? "Next" : "Then"}: errand endpoint start ${value.name}`,
		);
	},
	ids: (value) => [value.id],
	async *run(context, typed) {
		const { name, displayName, newKey, multiUser } = typed;
		const client = await context.client();
		const files = endpointFiles(context.home, name);
		const madeFor = await writeConfig(context, files, typed);
		const known = readCredentials(files);
		const registered = known?.cloud_url === client.cloudUrl ? await findEndpoint(client, known.endpoint_id) : undefined;
		// A registration ends the connections of a daemon that runs: what is right already is left alone.
		const manages = multiUser || existsSync(join(files.directory, "user_config_template.yaml.j2"));
		const asIs = registered?.name === name && (displayName ?? registered.display_name) === registered.display_name;
		const id = asIs ? registered.id : await register(client, name, displayName, manages);
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
			made_for: madeFor ?? null,
			cloud_url: client.cloudUrl,
			new_key: !keyIsGood,
			multi_user: manages,
		};
	},
});

/** What the configuration was made for; undefined when there is one, which stays as the person left it. */
async function writeConfig(context: Context, files: EndpointFiles, typed: Input): Promise<string | undefined> {
	const { name, scheduler, detect, multiUser } = typed;
	const said = answersOf(typed);
	if (existsSync(files.config)) {
		if (typed.site === undefined && scheduler === undefined && !detect && !multiUser && Object.keys(said).length === 0)
			return undefined;
		throw new Complaint("conflict", `${files.config} is there already, and is not overwritten`, {
			next: `edit it, or remove it and say this again`,
		});
	}
	const site = typed.site?.includes("/") ? resolve(context.workingDirectory, typed.site) : typed.site;
	const found = surveyEndpoint(context, { name, site, scheduler, detect });
	for (const sentence of [...found.found, ...found.notes]) context.note(sentence);
	const answers = await completeAnswers(context, found, said);
	makePrivateDirectory(context.home.endpoints);
	makePrivateDirectory(files.directory);
	initialiseEndpoint(context, files.directory, { name, found, answers, multiUser });
	return found.title;
}

function answersOf({ account, queue, walltime, set }: Input): Answers {
	return {
		...Object.fromEntries(set.map((word) => [word.slice(0, word.indexOf("=")), word.slice(word.indexOf("=") + 1)])),
		...(account !== undefined && { account }),
		...(queue !== undefined && { queue }),
		...(walltime !== undefined && { walltime }),
	};
}

async function register(
	client: Client,
	name: string,
	displayName: string | undefined,
	manages: boolean,
): Promise<string> {
	const { endpoint_id: id } = await client.registerEndpoint({
		endpoint_name: name,
		...(displayName !== undefined && { display_name: displayName }),
		metadata: { errand_protocol: 1, ...(manages && { errand_manager: true as const }) },
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
