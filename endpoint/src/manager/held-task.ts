/** A task from its arrival to its result. */
import { idFromBytes, type TaskId } from "@errand/proto/ids";
import {
	create,
	type Function as FunctionMessage,
	type Resources,
	ResourcesSchema,
	type Runtime,
	type Task,
} from "@errand/proto/wire";

import type { RankStart } from "./rank-launch.ts";

/** Why a task is being stopped. */
export type StopReason = "cancel" | "walltime" | "memory";

export interface HeldTask {
	readonly message: Task;
	readonly id: TaskId;
	readonly definition: FunctionMessage;
	/** What runs it. */
	readonly kind: WorkerKind;
	/** The container that it runs in; empty: none. */
	readonly image: string;
	/** Place in the order of arrival; kept when it goes back to the queue. */
	readonly sequence: number;
	readonly resources: Wanted;
	/** Nothing but one core is asked for. */
	readonly plain: boolean;
	/** May lie in a worker with others before and behind it: plain, and so short that the way to the worker matters. */
	readonly mayShare: boolean;
	readonly queuedAtMs: number;
	/** A file with the arguments, when they came by reference. */
	payloadPath: string;
	/** How long it was expected to take when it was sent to its worker. */
	expectedUs: number;
	/** With more than one process: how they are started, or why not. */
	ranks: RankStart | undefined;
	stop: StopReason | undefined;
	stopGraceMs: number;
}

type Wanted = Pick<
	Resources,
	"cores" | "memoryBytes" | "gpus" | "walltimeMs" | "nodes" | "ranksPerNode" | "named" | "containerImage"
>;

export type WorkerRuntime = "node" | "python";
/** Workers of one kind may stand for each other: one language, on the node itself or in one image. */
export type WorkerKind = WorkerRuntime | `${WorkerRuntime} in ${string}`;

const nothingWanted: Wanted = create(ResourcesSchema);

/** @param ownImage of tasks that name none; empty: the node itself */
export function holdTask(
	message: Task,
	definition: FunctionMessage,
	sequence: number,
	nowMs: number,
	ownImage: string,
): HeldTask {
	const resources = message.resources ?? nothingWanted;
	const image = resources.containerImage || ownImage;
	const runtime = kindOf[definition.runtime] as WorkerRuntime;
	const plain = isPlain(resources);
	return {
		message,
		id: idFromBytes<TaskId>(message.id),
		definition,
		// A command is started into its container by a worker outside.
		kind: image === "" || definition.runtime === commandRuntime ? runtime : `${runtime} in ${image}`,
		image,
		sequence,
		resources,
		plain,
		mayShare: plain && definition.runtime !== commandRuntime,
		queuedAtMs: nowMs,
		payloadPath: "",
		expectedUs: 0,
		ranks: undefined,
		stop: undefined,
		stopGraceMs: 0,
	};
}

const isPlain = ({ cores, memoryBytes, gpus, walltimeMs, nodes, ranksPerNode, named }: Wanted): boolean =>
	cores <= 1 &&
	memoryBytes === 0 &&
	gpus === 0 &&
	walltimeMs === 0 &&
	nodes <= 1 &&
	ranksPerNode === 0 &&
	named.length === 0;

/** RUNTIME_COMMAND. A command costs a process; its worker times it and ends it. */
export const commandRuntime = 3;

/** Which kind of worker runs each runtime; undefined for one this version does not know. */
export const kindOf: { readonly [R in Runtime]?: WorkerRuntime } = { 1: "node", 2: "python", 3: "node" };

/** Inverse of how {@link holdTask} names kinds; `image` is empty on the node itself. */
export function splitKind(kind: WorkerKind): { runtime: WorkerRuntime; image: string } {
	const at = kind.indexOf(" in ");
	const [runtime, image] = at < 0 ? [kind, ""] : [kind.slice(0, at), kind.slice(at + 4)];
	return { runtime: runtime as WorkerRuntime, image };
}

/** A map key for raw ids: no formatting on the hot path. */
export function keyOf(id: Uint8Array): string {
	return Buffer.from(id.buffer, id.byteOffset, id.byteLength).toString("latin1");
}
