/** The settings of an endpoint on a scheduler of which no more is known than the scheduler itself tells. */

import type { SchedulerName } from "@errand/proto";
import { parseDocument, type YAMLMap } from "yaml";
import type { ClusterFacts } from "./inquiry.ts";
import type { Site } from "./site.ts";

interface Row {
	readonly setting: string;
	readonly value?: string | number | undefined;
	readonly comment?: string;
	/** Undefined: nobody is asked. */
	readonly question?: string;
	/** Without an answer there is no configuration. */
	readonly required?: boolean;
}

const account: Row = {
	setting: "account",
	comment: "Who pays: account, project, allocation.",
	question: "Account that pays",
};
const queue = ({ queues }: ClusterFacts): Row => ({
	setting: "queue",
	value: queues[0],
	comment: "The scheduler's queue, or partition; its default without one.",
	question: "Queue",
});

/** What is different between schedulers. */
const firstRows: { readonly [Name in SchedulerName]?: (facts: ClusterFacts) => readonly Row[] } = {
	local: () => [],
	htcondor: () => [account],
	gridengine: (facts) => [
		account,
		queue(facts),
		{
			setting: "parallel_environment",
			value: facts.parallelEnvironments[0],
			comment: "Needed for more than one slot.",
			question: "Parallel environment",
		},
	],
	ssh: () => [
		{ setting: "hosts", comment: "The machines.", question: "Hosts, like [node1, ada@node2]", required: true },
	],
	kubernetes: () => [
		{ setting: "kubernetes.image", question: "Container image of the blocks", required: true },
		{ setting: "kubernetes.namespace", value: "default", question: "Namespace" },
	],
};

function rowsOf(scheduler: SchedulerName, facts: ClusterFacts): readonly Row[] {
	const { node } = facts;
	return [
		{ setting: "scheduler", value: scheduler, comment: "Who gives nodes." },
		...(firstRows[scheduler]?.(facts) ?? [account, queue(facts)]),
		{ setting: "walltime", value: "30m", question: "How long one block may last" },
		{ setting: "nodes_per_block", value: 1, question: "Nodes of one block" },
		{
			setting: "cores_per_node",
			value: node.cores,
			comment: "What a node has, for the tasks that run there.",
			question: "Cores of a node",
		},
		{
			setting: "memory_per_node",
			value: node.memoryBytes && `${Math.floor(node.memoryBytes / 2 ** 20)}MiB`,
			question: "Memory of a node",
		},
		{ setting: "available_accelerators", value: node.gpus, question: "GPUs of a node" },
		{ setting: "init_blocks", value: 0, comment: "Blocks when the endpoint starts." },
		{ setting: "max_blocks", value: 1, comment: "Never more.", question: "How many blocks at most" },
	];
}

export function schedulerSite(scheduler: SchedulerName, facts: ClusterFacts): Site {
	const rows = rowsOf(scheduler, facts);
	const document = parseDocument("{}");
	const config = document.createNode({}) as YAMLMap;
	document.contents = config as never;
	for (const { setting, value } of rows) document.setIn(setting.split("."), value ?? null);
	const comments = new Map(rows.map(({ setting, comment }) => [setting, comment]));
	for (const { key } of config.items as { key: { value: string; commentBefore?: string } }[]) {
		const comment = comments.get(key.value);
		if (comment !== undefined) key.commentBefore = ` ${comment}`;
	}
	return {
		name: scheduler,
		title: scheduler,
		facility: "a site without a preset",
		documentation: "",
		sources: [],
		hosts: [],
		variables: {},
		notes: [],
		ask: rows.flatMap(({ setting, question, required }) =>
			question === undefined ? [] : [{ setting, question, choices: [], optional: required !== true }],
		),
		config,
	};
}
