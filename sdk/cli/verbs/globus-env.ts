import { homedir, hostname } from "node:os";
import { join, resolve } from "node:path";
import { computeScope, peerClientId } from "@errand/proto/rest";
import * as z from "zod";
import type { Client } from "../../src/index.ts";
import { Complaint } from "../complaint.ts";
import type { Context } from "../context.ts";
import { globusComputeUrl, whoAnswersAt } from "../globus-address.ts";
import { storeGlobusTokens } from "../globus-tokens.ts";
import { approveDevice, operatorTokenOf } from "../operator.ts";
import { quoteWord } from "../run-target.ts";
import { verb } from "../verb.ts";

/** What the endpoint daemon asks for; the SDK needs less. */
const scopes = ["openid", "urn:globus:auth:scope:auth.globus.org:manage_projects", computeScope];
/** Set together, or not at all: with both the programs act as a service client, and not as the person. */
const clientVariables = ["GLOBUS_COMPUTE_CLIENT_ID", "GLOBUS_COMPUTE_CLIENT_SECRET"] as const;

const globusEnvironment = z.object({
	cloud_url: z.url(),
	/** Where the programs look for the cloud. */
	compute_url: z.url(),
	compute_url_answers: z.enum(["this cloud", "another cloud", "another program", "nobody"]),
	environment: z.record(z.string(), z.string()),
	/** Must not be in the environment. */
	unset: z.array(z.string()),
	/** The file with the tokens that `--login` stored. */
	tokens: z.string().nullable(),
	/** Who the programs act as, when this command logged them in. */
	identity: z.uuid().nullable(),
});

export const globusEnv = verb({
	name: "globus-env",
	summary: "Print what points Globus Compute's SDK and endpoint at this cloud, and log them in",
	options: [
		{ flags: "--cloud <url>", summary: "the cloud's address (default: the one that you are logged in to)" },
		{ flags: "--login", summary: "log the programs in as you; a browser confirms, nothing is pasted" },
		{
			flags: "--approve-as <user>",
			summary: "with --login: confirm as this account, with the operator token of the cloud of this machine",
		},
		{ flags: "--client <name>", summary: "make a service client of yours for them, for where nobody can log in" },
		{ flags: "--user-dir <directory>", summary: "where the programs keep their files, instead of ~/.globus_compute" },
	],
	examples: [
		['eval "$(errand globus-env --login)"', "then run any program that imports globus_compute_sdk"],
		['eval "$(errand globus-env --client nightly)"', "for a service; the secret is printed this once"],
		["env $(errand globus-env --quiet) globus-compute-endpoint login", "for one command only"],
	],
	input: z
		.object({
			cloud: z.url().optional(),
			login: z.boolean().default(false),
			approveAs: z.string().min(1).optional(),
			client: z.string().trim().min(1).max(256).optional(),
			userDir: z.string().min(1).optional(),
		})
		.refine((input) => !(input.login && input.client !== undefined), "--login and --client exclude each other")
		.refine((input) => input.login || input.approveAs === undefined, "--approve-as goes with --login"),
	output: globusEnvironment,
	json: "document",
	show: (value, screen) => {
		if (value.unset.length > 0) screen.line(`unset ${value.unset.join(" ")}`);
		for (const [name, text] of Object.entries(value.environment)) screen.line(`export ${name}=${quoteWord(text)}`);
		if (value.tokens !== null) screen.note(`The tokens are in ${value.tokens}; they renew themselves.`);
		if (value.compute_url_answers === "this cloud") return;
		screen.note(
			`${value.compute_url}, where Globus Compute looks for the cloud, is ${
				value.compute_url_answers === "nobody" ? "answered by nobody" : `${value.compute_url_answers}'s`
			}. Next: errand globus-forward${` --cloud ${value.cloud_url}`}    (or: ssh -L 5000:localhost:5000 …)`,
		);
	},
	ids: (value) => Object.entries(value.environment).map(([name, text]) => `${name}=${text}`),
	async *run(context, input): AsyncGenerator<z.infer<typeof globusEnvironment>> {
		const cloudUrl = await cloudUrlOf(context, input.cloud);
		const { discover } = await import("../../src/auth/oauth.ts");
		const { issuer } = await discover(cloudUrl, context.signal);
		const userDirectory = input.userDir === undefined ? undefined : resolve(context.workingDirectory, input.userDir);
		const stored = input.login ? await logIn(context, cloudUrl, userDirectory, input.approveAs) : undefined;
		const made =
			input.client === undefined ? undefined : await (await clientOf(context, cloudUrl)).createClient(input.client);
		yield {
			cloud_url: cloudUrl,
			compute_url: globusComputeUrl,
			compute_url_answers: await whoAnswersAt(globusComputeUrl, issuer),
			environment: {
				GLOBUS_SDK_ENVIRONMENT: "local",
				// It is put together with paths as it is: without the slash the login page has no address.
				GLOBUS_SDK_SERVICE_URL_AUTH: `${issuer.replace(/\/+$/, "")}/`,
				...(userDirectory === undefined ? {} : { GLOBUS_COMPUTE_USER_DIR: userDirectory }),
				...(made && { GLOBUS_COMPUTE_CLIENT_ID: made.client_id, GLOBUS_COMPUTE_CLIENT_SECRET: made.client_secret }),
			},
			unset: made === undefined ? [...clientVariables] : [],
			tokens: stored?.path ?? null,
			identity: stored?.identity ?? made?.client_id ?? null,
		};
	},
});

async function cloudUrlOf(context: Context, told: string | undefined): Promise<string> {
	const url = told ?? (context.environment.ERRAND_CLOUD_URL || (await context.client()).cloudUrl);
	return url.replace(/\/+$/, "");
}

/** A Complaint when the login is at another cloud: a service client made there would be none here. */
async function clientOf(context: Context, cloudUrl: string): Promise<Client> {
	const client = await context.client();
	if (client.cloudUrl === cloudUrl) return client;
	throw new Complaint("forbidden", `you are logged in to ${client.cloudUrl}, not to ${cloudUrl}`, {
		next: `errand login --cloud ${cloudUrl}`,
	});
}

async function logIn(
	context: Context,
	cloudUrl: string,
	userDirectory: string | undefined,
	approveAs: string | undefined,
) {
	const operatorToken = approveAs === undefined ? undefined : operatorTokenOf(context.home);
	const { requestDeviceLogin } = await import("../../src/auth/device-flow.ts");
	const { reply, addresses } = await requestDeviceLogin({
		cloudUrl,
		client: { id: peerClientId, scopes },
		program: `errand globus-env on ${hostname()}`,
		signal: context.signal,
		async onPrompt(prompt) {
			if (approveAs !== undefined && operatorToken !== undefined) {
				await approveDevice(cloudUrl, operatorToken, prompt.userCode, approveAs);
				return;
			}
			context.note(`Open   ${prompt.verificationUrl}\nand enter the code   ${prompt.userCode}`);
			context.note("Waiting for the confirmation (Ctrl-C gives up) …");
		},
	});
	const { GLOBUS_COMPUTE_USER_DIR: told, HOME: home } = context.environment;
	const directory = userDirectory ?? (told || join(home || homedir(), ".globus_compute"));
	const stored = await storeGlobusTokens(directory, reply, context.now());
	const { postForm } = await import("../../src/auth/oauth.ts");
	for (const token of addresses.revocationEndpoint === undefined ? [] : stored.replaced) {
		// One that the cloud does not know any more is ended already.
		await postForm(addresses.revocationEndpoint as string, { token, client_id: peerClientId }).catch(() => undefined);
	}
	return stored;
}
