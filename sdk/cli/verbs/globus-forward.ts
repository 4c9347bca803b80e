import { once } from "node:events";
import * as z from "zod";
import { Complaint } from "../complaint.ts";
import { globusComputeUrl } from "../globus-address.ts";
import { openForward } from "../globus-forward.ts";
import { whole } from "../input.ts";
import { verb } from "../verb.ts";

const wiredPort = Number(new URL(globusComputeUrl).port);

const forwarding = z.object({
	state: z.enum(["forwarding", "stopped"]),
	/** Where the programs ask. */
	url: z.url(),
	cloud_url: z.url(),
	/** What the programs need besides what `globus-env` prints. */
	environment: z.record(z.string(), z.string()),
});

export const globusForward = verb({
	name: "globus-forward",
	summary: `Bring a cloud to ${globusComputeUrl}, where Globus Compute's programs look for it, until Ctrl-C`,
	options: [
		{ flags: "--cloud <url>", summary: "the cloud's address (default: the one that you are logged in to)" },
		{
			flags: "-p, --port <port>",
			summary: `another port, for where ${wiredPort} is taken; the programs then need http_proxy`,
		},
	],
	examples: [
		[
			"errand globus-forward --cloud https://errand.example.org",
			"in a terminal of its own, or in the background with &",
		],
		["errand globus-forward --port 5077", "prints the variable that leads the programs there"],
	],
	input: z.object({ cloud: z.url().optional(), port: whole(0, 65_535).default(wiredPort) }),
	output: forwarding,
	json: "lines",
	endsOnInterrupt: true,
	show: (value, screen) => {
		if (value.state === "stopped") {
			screen.note("Stopped forwarding.");
			return;
		}
		screen.note(`${value.url} leads to ${value.cloud_url} until Ctrl-C.`);
		for (const [name, text] of Object.entries(value.environment)) screen.line(`export ${name}=${text}`);
	},
	ids: (value) => (value.state === "stopped" ? [] : [value.url]),
	async *run(context, { cloud, port }): AsyncGenerator<z.infer<typeof forwarding>> {
		const told = cloud ?? (context.environment.ERRAND_CLOUD_URL || (await context.client()).cloudUrl);
		const cloudUrl = told.replace(/\/+$/, "");
		await using forward = await openForward({ cloudUrl, port, onTrouble: (message) => context.note(message) }).catch(
			(cause: NodeJS.ErrnoException) => {
				if (cause.code !== "EADDRINUSE") throw cause;
				throw new Complaint("conflict", `port ${port} is taken by another program, perhaps by somebody else's`, {
					next: `errand globus-forward --cloud ${cloudUrl} --port 0`,
					cause,
				});
			},
		);
		const value = {
			url: `http://localhost:${forward.port}`,
			cloud_url: cloudUrl,
			// Requests for `http://localhost:5000` are then sent here; those with TLS go their own way.
			environment:
				forward.port === wiredPort ? {} : { http_proxy: `http://localhost:${forward.port}`, no_proxy: "127.0.0.1" },
		};
		yield { state: "forwarding", ...value };
		if (!context.signal.aborted) await once(context.signal, "abort");
		yield { state: "stopped", ...value };
	},
});
