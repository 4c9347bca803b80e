import { fileURLToPath } from "node:url";
import { joinBuffer, pack } from "@errand/proto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TestCloud } from "../harness/cloud.ts";
import { TestEndpoint } from "../harness/endpoint.ts";
import { globusPackages, type ProgramEnd, runProgram } from "../harness/globus.ts";
import { type PythonEnvironment, pythonEnvironment } from "../harness/python.ts";

const program = fileURLToPath(new URL("flows.py", import.meta.url));

let python: PythonEnvironment;
let cloud: TestCloud;
let endpoint: TestEndpoint;
let walk: ProgramEnd;

beforeAll(async () => {
	python = await pythonEnvironment([globusPackages.sdk]);
	cloud = await TestCloud.start();
	const { token, client } = await cloud.login("ada");
	endpoint = await TestEndpoint.start(cloud, client, { config: `workers_per_node: 1\npython: ${python.python}\n` });
	const source = pack([joinBuffer("st", "double:def double(x):\n    return 2 * x\n")]);
	const fn = await client.registerFunction({ function_name: "double", function_code: source });
	walk = await runProgram(python.python, program, [token, endpoint.id, fn], {
		PATH: process.env.PATH,
		HOME: cloud.home,
		// All that its people change.
		GLOBUS_SDK_SERVICE_URL_FLOWS: `${cloud.url}/v1/`,
	});
}, 400_000);
afterAll(async () => {
	await endpoint?.stop();
	await cloud?.stop();
	await python?.remove();
});

/** What the program found, and what Globus' own service would have told it. */
test.each<[string, unknown]>([
	["title", "double"],
	["validated", 200],
	["listed", [true]],
	["updated", "Doubles a number."],
	["invalid", [422, "FLOW_INVALID", true]],
	["started", [201, "four", ["a tag"], "run_owner"]],
	["done", ["SUCCEEDED", "got 8"]],
	["failed", ["FAILED", "FlowFailed", "TooMuch"]],
	["input", [400, "FLOW_INPUT_ERROR", true]],
	["run-validated", "validation successful"],
	["runs", [2, 2]],
	[
		"log",
		[
			...["FlowStarted", "ActionStarted", "ActionCompleted", "ChoiceStarted", "ChoiceCompleted"],
			...["ExpressionEvalStarted", "ExpressionEvalCompleted", "FlowSucceeded"],
		],
	],
	["reverse", "FlowSucceeded"],
	["definition", true],
	["relabelled", ["new"]],
	["resumed", "ACTIVE"],
	["cancelled", ["FAILED", "FlowCanceled"]],
	["gone", [404, "RUN_NOT_FOUND"]],
	["deleted", true],
])("NEW-29: the Globus SDK's flow clients, unmodified: %s", (what, expected) => {
	expect(walk.said[what]).toEqual(expected);
});
