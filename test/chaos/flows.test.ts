/** PEG-1: the cloud that carries a run is killed again and again, and the run does each thing once. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { joinBuffer, pack } from "@errand/proto";
import type { RunDocument } from "@errand/proto/rest";
import type { Client } from "@errand/sdk";
import { expect, test } from "vitest";
import { closeAfterEach } from "../harness/closing.ts";
import { type Deployment, type DeploymentName, startDeployment } from "../harness/deployment.ts";
import { TestEndpoint } from "../harness/endpoint.ts";

const closeLater = closeAfterEach();
const items = 250;
const kills = 8;

/** Says what it was called with, where a test can count it. */
const code = pack([
	joinBuffer(
		"ej",
		`noted:import { appendFileSync } from "node:fs";
export const noted = (record, what, value) => {
	appendFileSync(record, what + " " + value + "\\n");
	return value * 2;
};`,
	),
]);

/** Two compute steps for each item, then one of what they came to: 501 tasks, 753 states. */
function definitionFor(endpoint: string, fn: string, record: string): Record<string, unknown> {
	const call = (what: string, value: string, more: object) => ({
		Type: "Action",
		ActionUrl: "errand:compute",
		Parameters: {
			endpoint_id: endpoint,
			tasks: [{ function_id: fn, "args.=": `['${record}', '${what}', ${value}]` }],
		},
		WaitTime: 600,
		ExceptionOnActionFailure: true,
		...more,
	});
	return {
		StartAt: "Each",
		States: {
			Each: {
				Type: "Map",
				ItemsPath: "$.items",
				ItemSelector: { "n.$": "$._context.map.item" },
				MaxConcurrency: 25,
				ItemProcessor: {
					StartAt: "First",
					States: {
						First: call("first", "n", { ResultPath: "$.first", Next: "Second" }),
						Second: call("second", "first.details.result[0]", { ResultPath: "$.second", Next: "Value" }),
						Value: { Type: "Pass", InputPath: "$.second.details.result[0]", End: true },
					},
				},
				ResultPath: "$.values",
				Next: "Sum",
			},
			Sum: call("sum", "sum(values)", { ResultPath: "$.sum", Next: "Answer" }),
			Answer: { Type: "Pass", InputPath: "$.sum.details.result[0]", End: true },
		},
	} as Record<string, unknown>;
}

/** Until so many lines are in the record, or the run has ended. */
async function untilNoted(record: string, lines: number, client: Client, run: string): Promise<RunDocument> {
	for (;;) {
		const document = await client.flows.getRun(run);
		if (document.completion_time !== null || linesOf(record).length >= lines) return document;
		await new Promise((done) => setTimeout(done, 20));
	}
}

function linesOf(record: string): string[] {
	try {
		return readFileSync(record, "utf8").trimEnd().split("\n");
	} catch {
		return [];
	}
}

async function open(name: DeploymentName): Promise<{ deployment: Deployment; client: Client; endpoint: TestEndpoint }> {
	const deployment = await startDeployment(name);
	closeLater(() => deployment.stop());
	const { client } = await deployment.cloud.login("ada");
	const endpoint = await TestEndpoint.start(deployment.cloud, client, { config: "workers_per_node: 2\n" });
	closeLater(() => endpoint.stop());
	return { deployment, client, endpoint };
}

test.each<DeploymentName>(["embedded"])(
	`PEG-1: ${kills} times kill -9 of the cloud (%s) in a run of 501 tasks: each runs once, and the run ends as it should`,
	{ timeout: 240_000 },
	async (name) => {
		const { deployment, client, endpoint } = await open(name);
		const { cloud } = deployment;
		const record = join(cloud.home, "record");
		const fn = await client.registerFunction({ function_name: "noted", function_code: code });
		const definition = definitionFor(endpoint.id, fn, record) as never;
		const flow = await client.flows.create({ title: "many", definition });
		const numbers = Array.from({ length: items }, (_, n) => n);
		const { run_id: run } = await client.flows.start(flow.id, { body: { items: numbers } });
		for (let kill = 1; kill <= kills; kill++) {
			const { completion_time } = await untilNoted(record, Math.floor((kill * 2 * items) / (kills + 1)), client, run);
			expect(completion_time, `the run had ended before kill ${kill}`).toBeNull();
			await cloud.kill();
			await cloud.start();
		}
		const ended = await untilNoted(record, Number.POSITIVE_INFINITY, client, run);
		const sum = numbers.reduce((all, n) => all + n * 4, 0);
		expect(ended.details).toMatchObject({ code: "FlowSucceeded", details: { output: sum * 2 } });
		const lines = linesOf(record);
		expect(lines).toHaveLength(2 * items + 1);
		expect(new Set(lines).size).toBe(lines.length);
	},
);
