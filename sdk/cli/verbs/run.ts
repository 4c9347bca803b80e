import { isFinal, joinBuffer, pack, serializations, type TaskGroupId, type TaskId } from "@errand/proto";
import * as z from "zod";
import type { Client } from "../../src/index.ts";
import { inlineBytes, spill } from "../../src/serialize/blobs.ts";
import { Complaint } from "../complaint.ts";
import type { Context } from "../context.ts";
import { rememberTask } from "../last-task.ts";
import { followOutput, outputLine } from "../output-follower.ts";
import { resourceInput, resourceOptions, specificationOf } from "../resource-options.ts";
import { commandOf, functionInFile, jsonArguments } from "../run-target.ts";
import type { Screen } from "../screen.ts";
import { selectEndpoint, selectFunction } from "../selector.ts";
import { commandResultOf, exitOfResult, resultOf, showFailure, showResult, taskResult } from "../task-result.ts";
import { userConfigOf } from "../user-config.ts";
import { verb } from "../verb.ts";
import { WaitingNotes } from "../waiting-notes.ts";

const form = z.enum(["command", "function"]);

const runLine = z.discriminatedUnion("type", [
	z.object({ type: z.literal("submitted"), task_id: z.uuid(), task_group_id: z.uuid(), endpoint_id: z.uuid() }),
	outputLine.extend({ form }),
	taskResult.extend({ type: z.literal("ended"), form }),
]);
type RunLine = z.infer<typeof runLine>;

export const run = verb({
	name: "run",
	summary: "Run a command or a function on an endpoint and wait for its result",
	arguments: [
		{
			name: "function",
			takes: "optional",
			summary: "FILE:NAME of Python or TypeScript, or a registered function",
			completes: "file",
		},
		{ name: "json-args", takes: "optional", summary: "its arguments as one JSON array; - reads it from stdin" },
	],
	options: [
		{
			flags: "-e, --endpoint <endpoint>",
			summary: "where (default: ERRAND_ENDPOINT, or the only one)",
			completes: "endpoint",
		},
		...resourceOptions,
		{
			flags: "--user-config <json>",
			summary: "what the endpoint's template lets you choose: a JSON object, or a file of it",
		},
		{ flags: "-d, --detach", summary: "print the task's id and return" },
	],
	examples: [
		["errand run -e local -- wc -l /etc/passwd", "a command; its output while it runs, its exit status at the end"],
		["errand run -e local -- 'sort data.csv | uniq -c'", "one word is a line for the shell"],
		[
			"errand run -e local analysis.py:mean '[[1,2,3]]'",
			"a Python function; prints 2; what it prints itself goes to stderr",
		],
		[
			"errand run -e local solver.ts:solve '[{\"n\": 10}]' --cores 4 --walltime 2h",
			"a TypeScript function with its imports",
		],
		[
			"errand run -e polaris --nodes 2 --ranks-per-node 4 --expected 40m -- ./solver --cells 4096",
			"an MPI program: eight processes on two nodes",
		],
		[
			`errand run -e cluster --user-config '{"max_blocks": 4}' -- hostname`,
			"on an endpoint with a template, filled in with this",
		],
	],
	input: z
		.object({
			function: z.string().optional(),
			jsonArgs: z.string().optional(),
			rest: z.array(z.string()).optional(),
			endpoint: z.string().optional(),
			...resourceInput,
			userConfig: z.string().optional(),
			detach: z.boolean().default(false),
		})
		.refine(
			(input) => (input.function === undefined) !== (input.rest === undefined),
			"give a function, or a command after --",
		),
	output: runLine,
	json: "lines",
	takesRest: true,
	show: showLine,
	ids: (line) => (line.type === "submitted" ? [line.task_id] : []),
	exit: (line) => (line.type === "ended" ? exitOfResult(line) : undefined),
	async *run(context, input): AsyncGenerator<RunLine> {
		const client = await context.client();
		const endpoint = await selectEndpoint(context, client, input.endpoint);
		const { functionId, packed } = await prepare(context, client, input);
		const resources = specificationOf(input);
		const userConfig = userConfigOf(input.userConfig, context.workingDirectory);
		const submitted = await client.submit(endpoint.id, {
			tasks: { [functionId]: [packed] },
			...(resources && { resource_specification: resources }),
			...(userConfig && { user_endpoint_config: userConfig }),
		});
		const id = Object.values(submitted.tasks)[0]?.[0] as TaskId;
		for (const warning of submitted.warnings ?? []) context.note(warning);
		rememberTask(context.home, { id, group: submitted.task_group_id, cloudUrl: client.cloudUrl });
		yield { type: "submitted", task_id: id, task_group_id: submitted.task_group_id, endpoint_id: endpoint.id };
		const notes = new WaitingNotes(context, client);
		if (endpoint.status === "offline") notes.offline(endpoint, { endpoint_id: endpoint.id, resources });
		if (input.detach) {
			context.note(`Submitted. Next: errand task wait ${id}`);
			return;
		}
		const watch = notes.watch(id);
		try {
			yield* untilEnded(
				context,
				client,
				id,
				submitted.task_group_id as TaskGroupId,
				input.rest === undefined ? "function" : "command",
			);
		} finally {
			watch.stop();
		}
	},
});

function showLine(line: RunLine, screen: Screen): void {
	if (line.type === "submitted") return;
	if (line.type === "output") {
		if (line.form === "command" && line.stream === "stdout") screen.out(line.data);
		else screen.err(line.data);
	} else if (line.state !== "success") showFailure(line, screen);
	else if (!(line.form === "command" && commandResultOf(line.value))) showResult(line, screen);
}

async function prepare(
	context: Context,
	client: Client,
	input: {
		function?: string | undefined;
		jsonArgs?: string | undefined;
		rest?: string[] | undefined;
		walltime?: number | undefined;
	},
): Promise<{ functionId: string; packed: string }> {
	const args = jsonArguments(input.jsonArgs === "-" ? await context.readInput() : input.jsonArgs);
	const target = input.rest
		? commandOf(input.rest, input.walltime)
		: functionInFile(input.function as string, context.workingDirectory);
	const functionId = target
		? await client.ensureFunction({ function_name: target.name, function_code: await target.code() })
		: await registeredFunction(client, input.function as string);
	const packed = target ? target.packArguments(args) : packJson(args);
	const large = inlineBytes(packed) === undefined;
	return { functionId, packed: large ? await spill(client, target?.name ?? functionId, packed) : packed };
}

/** Whoever forgets the `--` of a command is told. */
async function registeredFunction(client: Client, text: string): Promise<string> {
	try {
		return await selectFunction(client, text);
	} catch (error) {
		if (!(error instanceof Complaint) || error.exit !== "notFound") throw error;
		const next = `errand function list, or for a command: errand run -- ${text} …`;
		throw new Complaint("notFound", error.message, { next, cause: error });
	}
}

/** Arguments for a registered function of any language. */
function packJson(args: readonly unknown[]): string {
	return pack([joinBuffer(serializations.json, JSON.stringify(args)), joinBuffer(serializations.json, "{}")]);
}

/** Output as it comes, then the end. Ctrl-C cancels the task, as it would end a command that runs here. */
async function* untilEnded(
	context: Context,
	client: Client,
	id: TaskId,
	group: TaskGroupId,
	runForm: z.infer<typeof form>,
): AsyncGenerator<RunLine> {
	try {
		for await (const line of followOutput(context, client, id, { follow: group })) yield { ...line, form: runForm };
		for (;;) {
			const task = await client.getTask(id);
			if (isFinal(task.state)) {
				yield { type: "ended", form: runForm, ...(await resultOf(client, task)) };
				return;
			}
			await context.pause(50);
		}
	} catch (error) {
		if (context.signal.aborted) {
			await client.cancelTask(id);
			context.note(`Task ${id} has been asked to stop.`);
		}
		throw error;
	}
}
