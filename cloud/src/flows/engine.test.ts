import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTestDatabase, type TestDatabase } from "../operations/test-cloud.ts";
import { TestFlows } from "./test-flows.ts";

let database: TestDatabase;
let flows: TestFlows;
beforeAll(async () => {
	database = await openTestDatabase();
	flows = await TestFlows.open(database);
});
afterAll(async () => {
	await flows?.close();
	await database?.close();
});

describe("a run", () => {
	test("goes through compute steps, each with what the one before came to", async () => {
		flows.play = (x) => Number(x) * 2;
		const run = await flows.start(
			{
				StartAt: "First",
				States: {
					First: flows.action({ ResultPath: "$.First", Next: "Second" }, { "args.=": "[x]" }),
					Second: flows.action({ ResultPath: "$.Second", Next: "Done" }, { "args.=": "[First.details.result[0] + 1]" }),
					Done: { Type: "Pass", Parameters: { "answer.$": "$.Second.details.result[0]" }, End: true },
				},
			},
			{ x: 4 },
		);
		expect(await flows.outputOf(run)).toEqual({ answer: 18 });
		expect(await flows.codes(run)).toEqual([
			"FlowStarted",
			"ActionStarted",
			"ActionCompleted",
			"ActionStarted",
			"ActionCompleted",
			"PassStarted",
			"PassCompleted",
			"FlowSucceeded",
		]);
	});
});
