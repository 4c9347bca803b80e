/** The manager: one process a compute node, between the daemon and the workers. Composes; decides nothing but when to end. */
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import {
	create,
	type DaemonMessage,
	HelloSchema,
	type ManagerMessage,
	ManagerMessageSchema,
	PulseSchema,
	type Welcome,
} from "@errand/proto/wire";
import { workerMarker } from "../worker/strays.ts";
import { CpuShares, cpuGroups, parseCpuList } from "./cpu-shares.ts";
import { splitKind, type WorkerKind } from "./held-task.ts";
import { Images } from "./images.ts";
import { Link } from "./link.ts";
import { openLog } from "./log.ts";
import { Manager } from "./manager.ts";
import { gpuEnvironment } from "./node-share.ts";
import { readOptions } from "./options.ts";
import { Outbox } from "./outbox.ts";
import { RankLaunch, withoutLaunch } from "./rank-launch.ts";
import { managerMarker, openSentinel } from "./sentinel.ts";
import { workerCommand, workerPlaces } from "./worker-command.ts";

const version = "0.1.0";
/** What runs gets this long when the block ends: schedulers kill soon after they warn. */
const stopGraceMs = 3000;
/** Results are offered this long to a daemon that might acknowledge them, before the manager ends. */
const lastAcknowledgementMs = 5000;
const acknowledgementLookMs = 20;
/** As EX_UNAVAILABLE of sysexits.h: the manager never met a daemon. */
const unreachedStatus = 69;

const options = readOptions(process.env);
const managerId = randomUUID();
const log = openLog({ manager: managerId, block: options.blockId });
const directory = join(options.directory, managerId);
const spillDirectory = join(directory, "values");
mkdirSync(spillDirectory, { recursive: true, mode: 0o700 });
const sandboxRoot = options.sandboxRoot === undefined ? undefined : join(options.sandboxRoot, managerId);
if (sandboxRoot !== undefined) mkdirSync(sandboxRoot, { recursive: true, mode: 0o700 });
mkdirSync(options.workingDirectory, { recursive: true, mode: 0o700 });
const sentinel = openSentinel(managerId, directory);

/** What a task may see: everything of the job script's environment except the link's secrets. */
const {
	ERRAND_LINK_ADDRESS: _address,
	ERRAND_LINK_CERTIFICATE: _certificate,
	ERRAND_BLOCK_TOKEN: _token,
	ERRAND_MANAGER_OPTIONS: _options,
	[workerMarker]: _worker,
	...inherited
} = process.env;
for (const secret of ["ERRAND_LINK_CERTIFICATE", "ERRAND_BLOCK_TOKEN"]) delete process.env[secret];
const gpuVendor = options.gpuIds.length === 0 ? "none" : existsSync("/dev/kfd") ? "amd" : "other";
const workerEnvironment: Record<string, string> = {
	...withoutLaunch(inherited as Record<string, string>),
	ERRAND_CORES: "1",
	...(gpuVendor === "none" ? {} : gpuEnvironment([], gpuVendor)), // a task that asks for no GPU sees none
	...options.environment,
	...options.jobEnvironment,
	[managerMarker]: managerId,
	ERRAND_MODULE_ROOT: options.moduleRoot,
	ERRAND_SPILL_DIRECTORY: spillDirectory,
	ERRAND_KEEP_SANDBOXES: options.keepSandboxes ? "1" : "0",
};

const cpuGroupsHere = cpuGroups(options.cpuAffinity, allowedCpus(), options.maxWorkers);
/** What of it programs in containers see: the PATH and the libraries are the image's. */
const containerVariables = [
	...Object.keys(options.environment),
	...Object.keys(workerEnvironment).filter((name) => name.startsWith("ERRAND_")),
];
const images = new Images({
	container: options.container,
	binds: [
		...new Set([options.directory, ...(sandboxRoot === undefined ? [] : [sandboxRoot]), options.workingDirectory]),
	],
	path: workerEnvironment.PATH ?? "",
	log,
});

function commandOf(kind: WorkerKind): readonly [string, ...string[]] {
	const { runtime, image } = splitKind(kind);
	if (image === "") return workerCommand(runtime, options.python);
	const [first, ...rest] = images.words({
		image,
		directory: options.workingDirectory,
		variables: containerVariables,
		gpus: options.gpuIds.length > 0,
		cpus: undefined,
		places: workerPlaces[runtime],
	});
	if (first === undefined) throw new Error(`nothing here runs containers; the image was ${image}`);
	return [first, ...rest, ...workerCommand(runtime, "python3")];
}

const outbox = new Outbox();
const place = { host: options.host, blockId: options.blockId, managerId };
const manager = new Manager({
	...options,
	place,
	spillDirectory,
	gpuVendor,
	cpus: cpuGroupsHere.length > 0 ? new CpuShares(cpuGroupsHere) : undefined,
	keptVariables: ["OMP_NUM_THREADS", "GOMP_CPU_AFFINITY", "KMP_AFFINITY"].filter((name) => name in options.environment),
	ranks: new RankLaunch({ ...options, path: workerEnvironment.PATH ?? "" }),
	images,
	rankVariables: [
		...["ERRAND_TASK_ID", "ERRAND_CORES", "OMP_NUM_THREADS"],
		...Object.keys({ ...options.environment, ...options.jobEnvironment }),
		...(gpuVendor === "none" ? [] : Object.keys(gpuEnvironment([], gpuVendor))),
		...["PATH", "LD_LIBRARY_PATH", "PYTHONPATH"].filter((name) => name in workerEnvironment),
	],
	workingDirectory: options.workingDirectory,
	containerVariables,
	worker: (kind: WorkerKind) => ({
		kind,
		command: commandOf(kind),
		directory,
		workingDirectory: options.workingDirectory,
		sandboxRoot,
		environment: workerEnvironment,
		outputLimitBytes: options.outputLimitBytes,
	}),
	outbox,
	blobs: { getBlob: (reference) => link.getBlob(reference), putBlob: (chunks) => link.putBlob(chunks) },
	log,
	onGroups: (groups) => sentinel.guard(groups),
});

const link: Link = new Link(
	{ ...options, log },
	{
		hello: () => hello(),
		received: (message) => onMessage(message),
		drained: () => outbox.drained(),
		lost: () => onLost(),
	},
);

/** What the kernel lets this process run on; nothing where it does not say. */
function allowedCpus(): number[] {
	try {
		return parseCpuList(/^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "");
	} catch {
		return [];
	}
}

let orphanLimitMs = options.orphanLimitMs;
let wasAttached = false;
let orphanTimer = setTimeout(() => void endOrphaned(), orphanLimitMs);
let pulseTimer: NodeJS.Timeout | undefined;

function onMessage({ message }: DaemonMessage): void {
	if (message.case === "welcome") onWelcome(message.value);
	else if (message.case === "tasks") manager.accept(message.value);
	else if (message.case === "cancel") manager.cancel(message.value.taskIds, message.value.graceMs);
	else if (message.case === "resultAck") outbox.forget(message.value.taskIds);
	else if (message.case === "drain") void endDrained(message.value.reason);
}

function onWelcome(welcome: Welcome): void {
	clearTimeout(orphanTimer);
	wasAttached = true;
	if (welcome.orphanLimitMs > 0) orphanLimitMs = welcome.orphanLimitMs;
	manager.abandon(welcome.unwantedTaskIds);
	manager.attached(welcome.inlineLimitBytes);
	outbox.attach({ write: (message) => link.write(message) });
	clearInterval(pulseTimer);
	if (welcome.pulseIntervalMs > 0) pulseTimer = setInterval(pulse, welcome.pulseIntervalMs);
}

function hello(): ManagerMessage {
	const value = create(HelloSchema, {
		managerId,
		blockId: options.blockId,
		host: place.host,
		pid: process.pid,
		node: {
			cores: options.cores,
			memoryBytes: options.memoryBytes,
			gpuIds: [...options.gpuIds],
			maxWorkers: options.maxWorkers,
			endsAtMs: options.endsAtMs,
			named: Object.entries(options.named).map(([name, amount]) => ({ name, amount })),
		},
		heldTaskIds: manager.heldTaskIds,
		unacknowledgedTaskIds: outbox.unacknowledged,
		holdings: manager.holdings,
		version,
		attempt: options.attempt,
	});
	return create(ManagerMessageSchema, { message: { case: "hello", value } });
}

function pulse(): void {
	const busyWorkers = manager.busyWorkers;
	const value = create(PulseSchema, { busyWorkers, idleWorkers: Math.max(0, options.maxWorkers - busyWorkers) });
	link.write(create(ManagerMessageSchema, { message: { case: "pulse", value } }));
}

function onLost(): void {
	outbox.detach();
	clearInterval(pulseTimer);
	orphanTimer = setTimeout(() => void endOrphaned(), orphanLimitMs);
}

let ending = false;

async function endOrphaned(): Promise<void> {
	if (!wasAttached) return endUnreached();
	log.warn({ orphanLimitMs }, "no daemon for too long: finishing what runs, then ending");
	await manager.finishRunning();
	await end(link.attached ? lastAcknowledgementMs : 0);
}

/** The last line is for whoever looks why a job ran and no task did. */
async function endUnreached(): Promise<void> {
	await manager.stop(0);
	const within = `within ${Math.round(orphanLimitMs / 1000)} s`;
	log.error(
		{ host: place.host },
		`no daemon was reached from ${place.host} ${within}; tried ${link.failures}. Set link_addresses to one that this node reaches`,
	);
	await end(0, unreachedStatus);
}

async function endDrained(reason: string): Promise<void> {
	log.info({ reason }, "draining");
	await manager.drain();
	await end(lastAcknowledgementMs);
}

async function end(acknowledgementMs: number, status = 0): Promise<void> {
	if (ending) return;
	ending = true;
	clearTimeout(orphanTimer);
	await manager.stop(stopGraceMs);
	const untilMs = Date.now() + acknowledgementMs;
	while (outbox.unacknowledged.length > 0 && Date.now() < untilMs)
		await new Promise((resolve) => setTimeout(resolve, acknowledgementLookMs));
	clearInterval(pulseTimer);
	await link.close();
	sentinel.close();
	rmSync(directory, { recursive: true, force: true });
	removeEmpty(sandboxRoot);
	if (status === 0) log.info({ unacknowledged: outbox.unacknowledged.length }, "the manager has ended");
	process.exit(status);
}

/** What failed tasks left stays for whoever wants to look. */
function removeEmpty(path: string | undefined): void {
	try {
		if (path !== undefined) rmdirSync(path);
	} catch {
		// not empty, or gone
	}
}

for (const signal of ["SIGTERM", "SIGINT"] as const)
	process.on(signal, () => {
		log.info({ signal }, "asked to end");
		void end(lastAcknowledgementMs);
	});
process.on("SIGHUP", () => {}); // the daemon's terminal closed; the manager outlives it
link.open();
