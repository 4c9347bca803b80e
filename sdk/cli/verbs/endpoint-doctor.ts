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
	options: [
		{ flags: "--canary", summary: "also send one small block through the real scheduler, with two tasks in it" },
		{ flags: "--queue <queue>", summary: "of the endpoint's queues, the canary's (default: the first)" },
		{ flags: "--timeout <duration>", summary: "so long the canary may wait for its turn (default 10m)" },
	],
	examples: [
		["errand endpoint doctor local", "checks files, key, cloud, clock, broker and runtimes; exit status 1 on a fault"],
		["errand endpoint doctor polaris --canary", "and whether a batch job starts, finds its way back and runs tasks"],
	],
	input: z.object({
		name: z.string(),
		canary: z.boolean().default(false),
		queue: z.string().optional(),
		timeout: z.string().default("10m"),
	}),
	output: checks,
	json: "document",
	show: showChecks,
	ids: failedChecks,
	exit: exitOfChecks,
	async *run(context, { name, canary, queue, timeout }) {
		const files = configuredEndpoint(context.home, name);
		let online = runningEndpoint(files) !== undefined;
		const registration = async (): Promise<string> => {
			const client = await context.client();
			const { id, status } = await client.getEndpoint(readCredentials(files)?.endpoint_id ?? files.name);
			online ||= status === "online";
			return `${client.cloudUrl} knows it as ${id}, ${status}`;
		};
		const rows = [
			privacyCheck("directory", files.directory),
			privacyCheck("credentials", files.credentials),
			await tryCheck("registration", registration, `errand endpoint configure ${name}`),
			processCheck(files),
		];
		const words = canary ? ["--canary", "--timeout", timeout, ...(queue === undefined ? [] : ["--queue", queue])] : [];
		yield { checks: [...rows, ...daemonChecks(context, files, [...words, ...(online ? ["--online"] : [])])] };
	},
});

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
function daemonChecks(context: Context, files: EndpointFiles, words: readonly string[]): Check[] {
	const name = "daemon";
	try {
		const text = runProgram({
			name: "errand-endpoint doctor",
			program: findProgram("endpoint", context.environment),
			arguments: ["doctor", files.directory, "--json", ...words],
			environment: context.environment,
			tells: true,
			accepts: [1],
		});
		return report.parse(JSON.parse(text)).checks;
	} catch (error) {
		return [{ name, state: "fault", says: error instanceof Error ? error.message : String(error) }];
	}
}
