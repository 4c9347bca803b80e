import * as z from "zod";
import { configuredEndpoint } from "../endpoint-files.ts";
import { whole } from "../input.ts";
import { followFile, formatLogLine, tailOf } from "../log-file.ts";
import { verb } from "../verb.ts";

export const endpointLogs = verb({
	name: "endpoint logs",
	summary: "Print the log of an endpoint that was started in the background",
	arguments: [{ name: "name", summary: "a configured endpoint", completes: "local-endpoint" }],
	options: [
		{ flags: "-f, --follow", summary: "go on as it grows, until Ctrl-C" },
		{ flags: "-n, --lines <count>", summary: "begin with the last so many lines (default 50)" },
	],
	examples: [["errand endpoint logs -f local", "watch the daemon"]],
	input: z.object({ name: z.string(), follow: z.boolean().default(false), lines: whole(0, 100_000).default(50) }),
	output: z.object({ line: z.string() }),
	json: "lines",
	show: ({ line }, screen) => screen.line(formatLogLine(line)),
	ids: ({ line }) => [line],
	async *run(context, { name, follow, lines }) {
		const files = configuredEndpoint(context.home, name);
		const tail = await tailOf(files.log, lines);
		for (const line of tail.lines) yield { line };
		if (tail.sizeBytes === 0 && !follow) context.note(`Nothing is in ${files.log} yet.`);
		if (follow) for await (const line of followFile(context, files.log, tail.sizeBytes)) yield { line };
	},
});
