/** Tasks, nodes and results for tests of the interchange, and what its reactions say. */
import { type FunctionId, idToBytes, newId, type TaskId } from "@errand/proto";
import {
	create,
	HelloSchema,
	NamedAmountSchema,
	type Resources,
	ResourcesSchema,
	type Result,
	ResultSchema,
	TaskSchema,
} from "@errand/proto/wire";
import type { AcceptedTask } from "./held-task.ts";
import type { Reaction } from "./reactions.ts";

const functionId = newId<FunctionId>();

/** What a task asks for, as short as it can be said. */
export interface Wish extends Partial<Omit<Resources, "named" | "variants" | "$typeName" | "$unknown">> {
	named?: Record<string, number>;
	variants?: Wish[];
}

function resourcesOf({ named = {}, variants = [], ...rest }: Wish): Resources {
	return create(ResourcesSchema, {
		...rest,
		named: namedOf(named),
		variants: variants.map(resourcesOf),
	});
}

const namedOf = (named: Record<string, number>) =>
	Object.entries(named).map(([name, amount]) => create(NamedAmountSchema, { name, amount }));

export function taskOf(wish: Wish = {}, id = newId<TaskId>()): AcceptedTask {
	const task = create(TaskSchema, {
		id: idToBytes(id),
		functionId: idToBytes(functionId),
		resources: resourcesOf(wish),
	});
	return { id, functionId, task };
}

export const tasksOf = (count: number, wish: Wish = {}): AcceptedTask[] =>
	Array.from({ length: count }, () => taskOf(wish));

export interface FakeNode {
	id: string;
	/** Its own, unless told. */
	block?: string;
	host?: string;
	named?: Record<string, number>;
	endsAtMs?: number;
	cores?: number;
	workers?: number;
	gpus?: number;
	memoryBytes?: number;
	held?: TaskId[];
	unacknowledged?: TaskId[];
	/** Of held tasks: as the manager was told to run them. */
	holdings?: { id: TaskId; wish?: Wish; hosts?: string[] }[];
}

export function helloOf(node: FakeNode) {
	return create(HelloSchema, {
		managerId: node.id,
		blockId: node.block ?? `block-of-${node.id}`,
		host: node.host ?? "node",
		pid: 1,
		node: {
			cores: node.cores ?? 2,
			maxWorkers: node.workers ?? node.cores ?? 2,
			memoryBytes: node.memoryBytes ?? 0,
			gpuIds: Array.from({ length: node.gpus ?? 0 }, (_, i) => String(i)),
			named: namedOf(node.named ?? {}),
			endsAtMs: node.endsAtMs ?? 0,
		},
		heldTaskIds: (node.held ?? []).map(idToBytes),
		holdings: (node.holdings ?? []).map(({ id, wish = {}, hosts = [] }) => ({
			taskId: idToBytes(id),
			resources: resourcesOf(wish),
			hosts,
		})),
		unacknowledgedTaskIds: (node.unacknowledged ?? []).map(idToBytes),
	});
}

export function success(id: TaskId, tookMs = 1000): Result {
	return create(ResultSchema, {
		taskId: idToBytes(id),
		outcome: { case: "value", value: new Uint8Array([1]) },
		execution: { startedAtUs: 0, finishedAtUs: tookMs * 1000 },
	});
}

export function died(id: TaskId, signal = "SIGKILL"): Result {
	return create(ResultSchema, {
		taskId: idToBytes(id),
		outcome: { case: "failure", value: { code: "WORKER_EXITED", message: `ended by ${signal}`, signal } },
	});
}

export const cancelled = (id: TaskId): Result =>
	create(ResultSchema, {
		taskId: idToBytes(id),
		cancelled: true,
		outcome: { case: "failure", value: { code: "CANCELLED" } },
	});

export const dispatched = (reactions: readonly Reaction[]): { managerId: string; id: TaskId }[] =>
	reactions.flatMap((r) => (r.kind === "dispatch" ? r.tasks.map((t) => ({ managerId: r.managerId, id: t.id })) : []));
export const ended = (reactions: readonly Reaction[]): { id: TaskId; code: string }[] =>
	reactions.flatMap((r) =>
		r.kind === "result"
			? [{ id: r.id, code: r.result.outcome.case === "failure" ? r.result.outcome.value.code : "ok" }]
			: [],
	);
