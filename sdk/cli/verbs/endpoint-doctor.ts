import * as z from "zod";
import { type Check, check, checks, exitOfChecks, failedChecks, privacyCheck, showChecks, tryCheck } from "../check.ts";
import { findProgram, runProgram } from "../child-program.ts";
import type { Context } from "../context.ts";
import { configuredEndpoint, type EndpointFiles, readCredentials, runningEndpoint } from "../endpoint-files.ts";
import { verb } from "../verb.ts";

export const endpointDoctor = verb({
	name: "endpoint doctor",
	summary: "Look for what keeps an endpoint of this machine from working",
	arguments: [{ name: "name", summary: "a configured endpoint", completes: "local-endpoint" }],
	examples: [
		["errand endpoint doctor local", "checks files, key, cloud, broker and runtimes; exit status 1 on a fault"],
	],
	input: z.object({ name: z.string() }),
	output: checks,
	json: "document",
	show: showChecks,
	ids: failedChecks,
	exit: exitOfChecks,
	async *run(context, { name }) {
		const files = configuredEndpoint(context.home, name);
		const rows = [
			privacyCheck("directory", files.directory),
			privacyCheck("credentials", files.credentials),
			await tryCheck("registration", () => registration(context, files), `errand endpoint configure ${name}`),
			processCheck(files),
		];
		yield { checks: [...rows, ...daemonChecks(context, files)] };
	},
});

async function registration(context: Context, files: EndpointFiles): Promise<string> {
	const client = await context.client();
	const credentials = readCredentials(files);
	const { id, status } = await client.getEndpoint(credentials?.endpoint_id ?? files.name);
	return `${client.cloudUrl} knows it as ${id}, ${status}`;
}

function processCheck(files: EndpointFiles): Check {
	const running = runningEndpoint(files);
	if (running) return { name: "process", state: "ok", says: `runs as process ${running.pid}` };
	return {
		name: "process",
		state: "warning",
		says: "is not running on this machine",
		next: `errand endpoint start ${files.name} --detach`,
	};
}

const report = z.object({ checks: z.array(check) });

/** The daemon's own doctor: what only it knows. Its exit status 1 says that it found a fault. */
function daemonChecks(context: Context, files: EndpointFiles): Check[] {
	const name = "daemon";
	try {
		const text = runProgram({
			name: "errand-endpoint doctor",
			program: findProgram("endpoint", context.environment),
			arguments: ["doctor", files.directory, "--json"],
			environment: context.environment,
			accepts: [1],
		});
		return report.parse(JSON.parse(text)).checks;
	} catch (error) {
		return [{ name, state: "fault", says: error instanceof Error ? error.message : String(error) }];
	}
}
