/**
 * The endpoint daemon, composed: the core decides, and here its reactions meet the journal, the broker, the managers
 * and the scheduler. Nothing is acknowledged before it is durable, at either end.
 */
import { rm } from "node:fs/promises";
import { availableParallelism, hostname, totalmem, userInfo } from "node:os";
import { basename, join } from "node:path";
import { type EndpointCommand, encodeMessage, idFromBytes, type TaskId } from "@errand/proto";
import type { EndpointStatusDetails } from "@errand/proto/rest";
import {
	create,
	fromBinary,
	type Report,
	ReportBatchSchema,
	ResultBatchSchema,
	TaskState,
	toBinary,
} from "@errand/proto/wire";
import { BlockSupervisor } from "../blocks/supervisor.ts";
import type { EndpointConfig } from "../config/config.ts";
import type { QueueConfig } from "../config/queue.ts";
import { Interchange, interchangeDefaults } from "../interchange/interchange.ts";
import type { BlockView, QueueSettings } from "../interchange/queue-view.ts";
import { Journal } from "../journal/journal.ts";
import { BlobCache } from "../link/blob-cache.ts";
import { loadBlockTokens } from "../link/block-token.ts";
import { loadLinkIdentity } from "../link/certificate.ts";
import { type LinkLimits, linkDefaults, openLink } from "../link/link.ts";
import { loadLinkPort, saveLinkPort } from "../link/link-port.ts";
import type { Scheduler } from "../scheduler/scheduler.ts";
import type { CloudClient } from "../uplink/cloud-client.ts";
import { openUplink, type Uplink, type UplinkOptions } from "../uplink/uplink.ts";
import { takeLease } from "./lease.ts";
import type { Logger } from "./logger.ts";
import { managerDirectory, managerSpec } from "./manager-command.ts";
import { ResultOutlet } from "./result-outlet.ts";
import { StateReporter } from "./state-reporter.ts";

const tickMs = 500;
/** Managers of an earlier daemon look for the new one every few seconds; after this long they are not waited for. */
const reattachLimitMs = 120_000;
/** Heartbeats that tell of a change come at most this often. */
const notableMs = 1_000;
/** At stop, for what is in the journal to reach the broker. What does not is sent after the next start. */
const deliverMs = 3_000;

export interface DaemonOptions {
	readonly directory: string;
	readonly endpointId: string;
	readonly config: EndpointConfig;
	readonly version: string;
	readonly cloud: CloudClient;
	readonly scheduler: Scheduler;
	/** The manager's main file. */
	readonly managerProgram: string;
	readonly log: Logger;
	/** Ends the start: a daemon that waits for the cloud or the lease must be stoppable too. */
	readonly signal?: AbortSignal;
	readonly nowMs?: () => number;
	readonly connect?: (options: UplinkOptions) => Uplink;
	readonly linkLimits?: Partial<LinkLimits>;
}

export interface Daemon {
	/** Resolves when the daemon must end: asked to from the cloud, or because it cannot go on (then with the error). */
	readonly ending: Promise<Error | undefined>;
	/** Takes nothing new, lets tasks run for the grace, ends managers unless they are to be kept, delivers, closes. */
	stop(options?: { hurry?: boolean }): Promise<void>;
	/** Lets go of everything at once and in no order: managers, the lease and what is not written yet are left as they are. */
	abandon(): Promise<void>;
}

/** Resolves when the endpoint is registered and takes tasks as soon as the broker answers. */
export async function openDaemon(options: DaemonOptions): Promise<Daemon> {
	const { directory, config, cloud, log, scheduler, endpointId, version } = options;
	const nowMs = options.nowMs ?? Date.now;
	const ending = Promise.withResolvers<Error | undefined>();
	const aborting = new AbortController();
	options.signal?.addEventListener("abort", () => {
		if (phase === "starting") aborting.abort(options.signal?.reason);
	});
	let phase: "starting" | "running" | "stopping" = "starting";

	const lease = await takeLease({
		directory,
		cloud,
		log,
		signal: aborting.signal,
		onLost: (error) => ending.resolve(error),
	});
	const journal = await Journal.open({ ...interchangeDefaults, directory: join(directory, "journal"), log, nowMs });
	const queue = config.queues[0] as QueueConfig;
	const cores = queue.coresPerNode ?? availableParallelism();
	const settings: QueueSettings = {
		...queue,
		node: {
			workers: queue.workersPerNode ?? cores,
			cores,
			memoryBytes: queue.memoryPerNodeBytes ?? totalmem(),
			gpus: queue.gpuIds.length,
			named: queue.resourcesPerNode,
		},
	};
	const interchange = new Interchange({ lossLimit: config.lossLimit, queues: [settings] });
	interchange.restore(journal.recovered, nowMs());
	const blobs = await BlobCache.open(join(directory, "blobs"), cloud.blobs, log);
	const identity = await loadLinkIdentity(directory);
	const tokens = await loadBlockTokens(directory);
	const limits = { ...linkDefaults, orphanLimitMs: config.orphanLimitMs, ...options.linkLimits };

	let turnScheduled = false;
	const turnSoon = (): void => {
		if (turnScheduled) return;
		turnScheduled = true;
		setImmediate(() => {
			turnScheduled = false;
			turn();
		});
	};

	const outlet = new ResultOutlet({
		journal,
		publish: (batch) => uplink.publishResults(batch),
		deliver: (blob) => blobs.deliver(blob),
		acknowledge: (managerId, ids) => link.acknowledge(managerId, ids),
		onFailure: (error) => ending.resolve(error),
		log,
	});
	const reporter = new StateReporter(
		hostname(),
		(id) => interchange.stateOf(id),
		(batch) => uplink.publishReports(batch, { persistent: true }),
	);

	const place = {
		directory,
		config,
		tokens,
		certificate: identity.certificate,
		program: options.managerProgram,
		get linkPort() {
			return link.port;
		},
	};
	const supervisor = await BlockSupervisor.open({
		scheduler,
		path: join(directory, "blocks.json"),
		specOf: (blockId) => managerSpec(place, blockId, queue),
		onEnded(blockId, reason) {
			interchange.loseBlock(blockId, `its block has ended (${reason})`, nowMs());
			rm(managerDirectory(directory, blockId), { recursive: true, force: true }).catch((error: unknown) =>
				log.warn({ block: blockId, err: error }, "blocks: its scratch directory stays"),
			);
			settleIfDone();
			turnSoon();
			tellSoon();
		},
		nowMs,
		log,
	});

	// Blocks of an earlier daemon: what they run must not be handed out again before they have said so.
	const expected = new Set(supervisor.blocks.map(({ id }) => id));
	const expectedUntilMs = nowMs() + reattachLimitMs;
	let settled = false;
	function settleIfDone(): void {
		if (settled) return;
		for (const id of expected) {
			const lives = supervisor.blocks.some((block) => block.id === id);
			if (!lives || interchange.attachedManagers(id).length >= queue.nodesPerBlock) expected.delete(id);
		}
		if (expected.size > 0 && nowMs() < expectedUntilMs) return;
		settled = true;
		interchange.settle(nowMs());
		turnSoon();
	}

	const registration = {
		endpoint_name: basename(directory),
		...(config.displayName !== undefined && { display_name: config.displayName }),
		metadata: {
			errand_protocol: 1 as const,
			errand_journal_id: journal.id,
			endpoint_version: version,
			hostname: hostname(),
			local_user: userInfo().username,
			pid: process.pid,
			node_version: process.version,
		},
	};
	const register = (signal: AbortSignal) => cloud.register(registration, signal);
	const places = await register(aborting.signal);
	const linkPort = config.linkPort ?? (await loadLinkPort(directory, config.linkHost, log));
	// From here to the return nothing is awaited: whoever calls in finds everything in its place.
	const link = await openLink({
		host: config.linkHost,
		port: linkPort,
		identity,
		tokens,
		blobs,
		limits,
		nowMs,
		log,
		functionOf: (id) => journal.functionOf(id),
		events: {
			attached: (hello) => interchange.attach(hello, nowMs(), queue.name),
			welcomed(managerId) {
				const block = supervisor.blocks.find(({ id }) => interchange.attachedManagers(id).includes(managerId));
				if (block) supervisor.attached(block.id);
				if (phase === "stopping" && !config.keepManagers) link.drain(managerId, "the endpoint is stopping");
				settleIfDone();
				turnSoon();
				tellSoon();
			},
			detached(managerId, reason) {
				log.warn({ manager: managerId, reason }, "link: a manager is gone; waiting for it to come back");
				interchange.detach(managerId, nowMs());
				tellSoon();
			},
			results(managerId, results) {
				interchange.results(managerId, results, nowMs());
				turnSoon();
			},
			reports: (managerId, reports) => forward(managerId, reports),
		},
	});
	saveLinkPort(directory, link.port);
	const uplink = (options.connect ?? openUplink)({
		places,
		renew: register,
		log,
		events: {
			async taskBatch(bytes) {
				// Not acknowledged: the broker keeps it for the next daemon.
				if (phase === "stopping") return new Promise<void>(() => undefined);
				await durable(
					journal.accept(bytes, (tasks) => {
						interchange.accept(tasks, nowMs());
						turnSoon();
					}),
				);
			},
			command,
			connected: () => tell(),
			disconnected: (reason) => log.warn({ reason }, "uplink: work goes on; results wait for the broker"),
			refused: (error) => ending.resolve(error),
		},
	});

	/** A failed write of the journal ends the daemon; what is no batch is the sender's fault. */
	async function durable<T>(written: Promise<T>): Promise<T> {
		try {
			return await written;
		} catch (error) {
			if (!(error instanceof RangeError)) ending.resolve(error as Error);
			throw error;
		}
	}

	async function command(received: EndpointCommand): Promise<void> {
		if (received.command === "cmd_stop") {
			log.info({ reason: received.kwargs.reason }, "the cloud asks this endpoint to stop");
			ending.resolve(undefined);
			return;
		}
		const ids = received.kwargs.task_ids as TaskId[];
		await durable(journal.cancel(ids));
		interchange.cancel(ids, received.kwargs.grace_ms || config.cancelGraceMs, nowMs());
		turnSoon();
	}

	function forward(managerId: string, reports: Report[]): void {
		const states: Report[] = [];
		const rest: Report[] = [];
		for (const report of reports) {
			if (report.event.case !== "state") rest.push(report);
			else {
				states.push(report);
				if (report.event.value.state === TaskState.RUNNING) interchange.started(managerId, idFromBytes(report.taskId));
			}
		}
		for (const [some, persistent] of [
			[states, true],
			[rest, false],
		] as const) {
			if (some.length > 0)
				uplink.publishReports(toBinary(ReportBatchSchema, create(ReportBatchSchema, { reports: some })), {
					persistent,
				});
		}
	}

	function turn(): void {
		if (phase !== "stopping") interchange.place(nowMs());
		for (const reaction of interchange.takeReactions()) {
			switch (reaction.kind) {
				case "dispatch":
					link.dispatch(reaction.managerId, reaction.tasks);
					break;
				case "cancel":
					link.cancel(reaction.managerId, reaction.taskIds, reaction.graceMs);
					break;
				case "result":
					outlet.add(reaction.id, reaction.result, reaction.managerId);
					break;
				case "acknowledge":
					outlet.acknowledge(reaction.id, reaction.managerId);
					break;
				case "forget":
					link.acknowledge(reaction.managerId, [reaction.id]);
					break;
				case "lost":
					journal.lose(reaction.id, reaction.losses);
					break;
				case "state":
					reporter.note(reaction.id, reaction.state, reaction.reason, nowMs());
					break;
				case "drain":
					link.drain(reaction.managerId, reaction.reason);
					break;
			}
		}
		if (interchange.counts().managers === 0 && !interchange.empty) scale();
	}

	let scaling: Promise<void> | undefined;
	function scale(atLeast = 0): void {
		if (phase === "stopping" || scaling !== undefined) return;
		const blocks = supervisor.blocks.map(
			({ id, state }): BlockView => ({
				id,
				queue: queue.name,
				nodes: queue.nodesPerBlock,
				state: state.at === "ended" ? "draining" : state.at,
				reason: "",
			}),
		);
		const plan = interchange.planScaling(
			{ queues: [{ name: queue.name, keepBlocks: queue.minBlocks, firstBlocks: atLeast }], blocks },
			nowMs(),
		);
		const start = plan.start[0]?.count ?? 0;
		for (const id of plan.drain) {
			log.info({ block: id }, "blocks: a block has been idle for long and is given back");
			supervisor.drain(id, "idle");
			interchange.drainBlock(id, "the block was idle");
			turnSoon();
		}
		if (start === 0) return;
		scaling = supervisor
			.start(start)
			.catch((error: unknown) => log.error({ err: error }, "blocks: no block could be asked for"))
			.finally(() => {
				scaling = undefined;
			});
	}

	function details(active: boolean): EndpointStatusDetails {
		const counts = interchange.counts();
		return {
			heartbeat_period: active ? config.heartbeatPeriodMs / 1000 : 0,
			active,
			total_workers: counts.workers,
			idle_workers: counts.idleWorkers,
			pending_tasks: counts.waiting,
			outstanding_tasks: counts.waiting + counts.held,
			managers: counts.managers,
			total_cores: counts.cores,
			scheduler: scheduler.name,
			errand_version: version,
			hostname: hostname(),
		};
	}
	let toldAtMs = 0;
	let telling: NodeJS.Timeout | undefined;
	function tell(active = true): Promise<void> {
		toldAtMs = nowMs();
		clearTimeout(telling);
		telling = undefined;
		const state = { ...details(active), ...(supervisor.trouble !== "" && { trouble: supervisor.trouble }) };
		return uplink.heartbeat(
			encodeMessage("ep_status_report", { endpoint_id: endpointId, global_state: state, task_statuses: {} }),
		);
	}
	function tellSoon(): void {
		if (phase !== "running" || telling) return;
		telling = setTimeout(() => void tell(), Math.max(0, toldAtMs + notableMs - nowMs()));
	}

	let polling = false;
	const ticking = setInterval(() => {
		link.tick();
		interchange.tick(nowMs());
		reporter.tick(nowMs());
		settleIfDone();
		scale();
		turnSoon();
		if (nowMs() - toldAtMs >= config.heartbeatPeriodMs) void tell();
		if (polling) return;
		polling = true;
		supervisor
			.poll()
			.catch((error: unknown) => log.warn({ err: error }, "blocks: the scheduler does not answer"))
			.finally(() => {
				polling = false;
			});
	}, tickMs);

	outlet.resume(
		journal.recovered.unconfirmed.map(({ number, bytes }) => ({
			number,
			bytes,
			results: fromBinary(ResultBatchSchema, bytes).results,
		})),
	);
	phase = "running";
	settleIfDone();
	scale(queue.initBlocks);
	log.info(
		{
			endpoint: endpointId,
			version,
			link: link.port,
			openTasks: journal.recovered.open.length,
			undelivered: journal.recovered.unconfirmed.length,
		},
		"the endpoint is running",
	);

	async function stop(how: { hurry?: boolean } = {}): Promise<void> {
		if (phase === "stopping") return;
		phase = "stopping";
		log.info({ keepManagers: config.keepManagers, running: interchange.counts().held }, "the endpoint is stopping");
		if (!config.keepManagers) {
			for (const { id } of supervisor.blocks) interchange.drainBlock(id, "the endpoint is stopping");
			turnSoon();
			const untilMs = nowMs() + (how.hurry ? 0 : config.stopGraceMs);
			while (interchange.counts().held > 0 && nowMs() < untilMs)
				await new Promise((resolve) => setTimeout(resolve, 50));
			await scaling;
			await outlet.written();
			await supervisor.endAll(how.hurry ? 0 : 3_000);
		}
		await close(how.hurry ? 0 : deliverMs);
		await lease.release();
	}

	async function abandon(): Promise<void> {
		if (phase === "stopping") return;
		phase = "stopping";
		lease.abandon();
		await close(0);
	}

	async function close(waitMs: number): Promise<void> {
		clearInterval(ticking);
		turn();
		await outlet.written().catch(() => undefined);
		if (uplink.connected && waitMs > 0) {
			const late = new Promise<void>((resolve) => setTimeout(resolve, waitMs).unref());
			await Promise.race([Promise.all([outlet.delivered(), tell(false)]), late]);
		}
		clearTimeout(telling);
		aborting.abort(new Error("the endpoint is stopping"));
		await link.close();
		blobs.close();
		await uplink.close();
		await supervisor.close();
		await journal.close().catch((error: unknown) => log.error({ err: error }, "journal: not closed cleanly"));
	}

	return {
		ending: ending.promise,
		async stop(how) {
			const failed = await Promise.race([ending.promise, Promise.resolve("running" as const)]);
			// Another daemon has the endpoint, or nothing can be recorded any more: managers are left to whoever comes next.
			if (failed instanceof Error) await abandon();
			else await stop(how);
		},
		abandon,
	};
}
