/**
 * The endpoint daemon, composed: the core decides, and here its reactions meet the journal, the broker, the managers
 * and the scheduler. Nothing is acknowledged before it is durable, at either end.
 */
import { rm } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { type EndpointCommand, Fault, idFromBytes, type TaskId } from "@errand/proto";
import {
	create,
	fromBinary,
	type Hello,
	type Report,
	ReportBatchSchema,
	ResultBatchSchema,
	TaskState,
	toBinary,
} from "@errand/proto/wire";
import { summarizeAll } from "../blocks/summary.ts";
import { BlockSupervisor } from "../blocks/supervisor.ts";
import type { EndpointConfig } from "../config/config.ts";
import { Interchange, interchangeDefaults } from "../interchange/interchange.ts";
import { Journal } from "../journal/journal.ts";
import { BlobCache } from "../link/blob-cache.ts";
import { loadBlockTokens } from "../link/block-token.ts";
import { loadLinkIdentity } from "../link/certificate.ts";
import { type LinkLimits, linkDefaults, openLink } from "../link/link.ts";
import { loadLinkPort, saveLinkPort } from "../link/link-port.ts";
import type { Scheduler } from "../scheduler/scheduler.ts";
import type { CloudClient } from "../uplink/cloud-client.ts";
import { openUplink, type Uplink, type UplinkOptions } from "../uplink/uplink.ts";
import { Attachments } from "./attachments.ts";
import { carryOut } from "./carry-out.ts";
import { type Clock, systemClock } from "./clock.ts";
import { Heartbeat } from "./heartbeat.ts";
import { IdleWatch } from "./idle-watch.ts";
import { takeLease } from "./lease.ts";
import type { Logger } from "./logger.ts";
import { managerDirectory, managerSpec } from "./manager-command.ts";
import { registrationOf } from "./registration.ts";
import { ResultOutlet } from "./result-outlet.ts";
import { queueSettings, ScalingDriver } from "./scaling-driver.ts";
import { StateReporter } from "./state-reporter.ts";
import type { TaskAudit } from "./task-audit.ts";
import { openTransferProcess } from "./transfer-process.ts";
import { WorkerRuntimes } from "./worker-runtimes.ts";

const tickMs = 500;
/** Managers of an earlier daemon look for the new one every few seconds; after this long they are not waited for. */
const reattachLimitMs = 120_000;
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
	/** That of the agent that moves files; undefined: none is started. */
	readonly transferProgram?: string;
	readonly log: Logger;
	/** Ends the start: a daemon that waits for the cloud or the lease must be stoppable too. */
	readonly signal?: AbortSignal;
	readonly clock?: Clock;
	/** Told of every task. */
	readonly audit?: TaskAudit;
	/** After so long without anything to do the daemon ends; 0: never. */
	readonly idleShutdownMs?: number;
	readonly connect?: (options: UplinkOptions) => Uplink;
	readonly linkLimits?: Partial<LinkLimits>;
}

export interface Daemon {
	/** Resolves when the daemon must end: asked to from the cloud, idle, or because it cannot go on (then with the error). */
	readonly ending: Promise<Error | "idle" | undefined>;
	/** Takes nothing new, lets tasks run for the grace, ends managers unless they are to be kept, delivers, closes. */
	stop(options?: { hurry?: boolean }): Promise<void>;
	/** Lets go of everything at once and in no order: managers, the lease and what is not written yet are left as they are. */
	abandon(): Promise<void>;
}

/** Resolves when the endpoint is registered and takes tasks as soon as the broker answers. */
export async function openDaemon(options: DaemonOptions): Promise<Daemon> {
	const { directory, config, cloud, log, scheduler, endpointId, version } = options;
	const clock = options.clock ?? systemClock();
	const { steadyMs } = clock;
	const ending = Promise.withResolvers<Error | "idle" | undefined>();
	const aborting = new AbortController();
	options.signal?.addEventListener("abort", () => {
		if (phase === "starting") aborting.abort(options.signal?.reason);
	});
	let phase: "starting" | "running" | "stopping" = "starting";
	let keepsManagers = config.keepManagers;

	/** The cloud will not have this daemon, or nothing can be recorded any more. */
	function cannotGoOn(error: Error): void {
		// A lock is how somebody stops an endpoint from afar.
		if (error instanceof Fault && error.code === "RESOURCE_LOCKED") {
			log.info({ reason: error.message }, "the endpoint was locked; it stops");
			ending.resolve(undefined);
		} else ending.resolve(error);
	}

	const lease = await takeLease({
		directory,
		cloud,
		log,
		signal: aborting.signal,
		onLost: cannotGoOn,
	});
	const journal = await Journal.open({
		...interchangeDefaults,
		directory: join(directory, "journal"),
		log,
		nowMs: clock.wallMs,
	});
	const interchange = new Interchange({
		lossLimit: config.lossLimit,
		allowedFunctions: config.allowedFunctions && new Set(config.allowedFunctions.map((id) => id.toLowerCase())),
		queues: config.queues.map((queue) => queueSettings(queue, config.scheduler === "local")),
	});
	interchange.restore(journal.recovered, steadyMs());
	const runtimes = new WorkerRuntimes(directory);
	options.audit?.restore(journal.recovered.open);
	const blobs = await BlobCache.open(join(directory, "blobs"), cloud.blobs, log);
	const identity = await loadLinkIdentity(directory);
	const tokens = await loadBlockTokens(directory);
	const limits = { ...linkDefaults, orphanLimitMs: config.orphanLimitMs, ...options.linkLimits };

	const idle = new IdleWatch(options.idleShutdownMs ?? 0, steadyMs());
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
	const isLocal = config.scheduler === "local";
	const supervisor = await BlockSupervisor.open({
		scheduler,
		directory,
		path: join(directory, "blocks.json"),
		queues: config.queues,
		// This machine is asked without asking anybody.
		pollIntervalMs: isLocal ? tickMs - 50 : config.pollIntervalMs,
		polite: !isLocal,
		budgetNodeHours: config.budgetNodeHours,
		specOf: (blockId, queue) => managerSpec(place, blockId, queue),
		managersOf: (blockId) => attachments.count(blockId),
		events: {
			ended(blockId, reason, announced) {
				interchange.loseBlock(blockId, `its block has ended (${reason})`, steadyMs(), announced);
				attachments.forget(blockId);
				rm(managerDirectory(directory, blockId), { recursive: true, force: true }).catch((error: unknown) =>
					log.warn({ block: blockId, err: error }, "blocks: its scratch directory stays"),
				);
				settleIfDone();
				turnSoon();
				heartbeat.tellSoon();
			},
			fenced(blockId, before, reason) {
				for (const managerId of attachments.shutOut(blockId, before)) {
					interchange.lose(managerId, reason, steadyMs(), true);
					link.disconnect(managerId, reason);
				}
				turnSoon();
			},
			ending(blockId, reason) {
				interchange.drainBlock(blockId, reason);
				turnSoon();
			},
			changed: () => {
				if (phase === "running") heartbeat.tellSoon();
			},
		},
		clock,
		log,
	});

	// Blocks of an earlier daemon: what they run must not be handed out again before they have said so.
	const attachments = new Attachments(
		new Map(supervisor.blocks.map(({ id, nodes }) => [id, nodes])),
		steadyMs() + reattachLimitMs,
	);
	let settled = false;
	function settleIfDone(): void {
		if (settled || !attachments.haveAllCome(steadyMs())) return;
		settled = true;
		interchange.settle(steadyMs());
		turnSoon();
	}

	const registration = registrationOf(directory, config, journal.id, version);
	const places = await cloud.register(registration, aborting.signal, { whileLocked: "wait" });
	const linkPort = config.linkPort ?? (await loadLinkPort(directory, config.linkHost, log));
	// From here to the return nothing is awaited: whoever calls in finds everything in its place.
	const link = await openLink({
		host: config.linkHost,
		port: linkPort,
		identity,
		tokens,
		blobs,
		limits,
		nowMs: steadyMs,
		log,
		functionOf: (id) => journal.functionOf(id),
		events: {
			attached,
			welcomed(managerId) {
				const isOver = phase === "stopping" && !keepsManagers;
				if (attachments.isShutOut(managerId)) link.drain(managerId, "this block is not the endpoint's any more");
				else if (isOver) link.drain(managerId, "the endpoint is stopping");
				settleIfDone();
				turnSoon();
				heartbeat.tellSoon();
			},
			detached(managerId, reason) {
				log.warn({ manager: managerId, reason }, "link: a manager is gone; waiting for it to come back");
				attachments.detach(managerId);
				interchange.detach(managerId, steadyMs());
				supervisor.detached();
				heartbeat.tellSoon();
			},
			results(managerId, results) {
				interchange.results(managerId, results, steadyMs());
				if (runtimes.note(results)) heartbeat.tellSoon();
				turnSoon();
			},
			reports: (managerId, reports) => forward(managerId, reports),
		},
	});
	saveLinkPort(directory, link.port);
	const uplink = (options.connect ?? openUplink)({
		places,
		renew: (signal) => cloud.register(registration, signal, { whileLocked: "refuse" }),
		log,
		events: {
			async taskBatch(bytes) {
				// Not acknowledged: the broker keeps it for the next daemon.
				if (phase === "stopping") return new Promise<void>(() => undefined);
				idle.busy(steadyMs());
				await durable(
					journal.accept(bytes, (tasks) => {
						options.audit?.accepted(tasks);
						interchange.accept(tasks, steadyMs());
						turnSoon();
					}),
				);
			},
			command,
			connected: () => void heartbeat.tell(),
			disconnected: (reason) => log.warn({ reason }, "uplink: work goes on; results wait for the broker"),
			refused: cannotGoOn,
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
		if (received.command === "cmd_start_endpoint") throw new RangeError("command: this endpoint is no manager");
		const ids = received.kwargs.task_ids as TaskId[];
		await durable(journal.cancel(ids));
		interchange.cancel(ids, received.kwargs.grace_ms || config.cancelGraceMs, steadyMs());
		turnSoon();
	}

	function forward(managerId: string, reports: Report[]): void {
		const states: Report[] = [];
		const rest: Report[] = [];
		for (const report of reports) {
			if (report.event.case !== "state") rest.push(report);
			else {
				states.push(report);
				if (report.event.value.state !== TaskState.RUNNING) continue;
				interchange.started(managerId, idFromBytes(report.taskId));
				options.audit?.started(idFromBytes(report.taskId));
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

	/** Returns the tasks that the manager must kill. */
	function attached(hello: Hello): TaskId[] {
		const node = hello.node;
		// Of all that a manager says this alone is a time of the wall's clock that is compared with ours.
		const endsAtMs = node?.endsAtMs ?? 0;
		if (node && endsAtMs > 0) node.endsAtMs += steadyMs() - clock.wallMs();
		const queueName = supervisor.blocks.find(({ id }) => id === hello.blockId)?.queue ?? "";
		const isOurs = supervisor.attached(hello.blockId, hello.attempt, endsAtMs);
		attachments.attach(hello, isOurs);
		if (!isOurs) {
			log.warn(
				{ manager: hello.managerId, block: hello.blockId, attempt: hello.attempt, host: hello.host },
				"link: a manager of an ended block, or of an earlier attempt of its job, is shut out",
			);
			return hello.heldTaskIds.map((bytes) => idFromBytes<TaskId>(bytes));
		}
		return interchange.attach(hello, steadyMs(), queueName);
	}

	function turn(): void {
		if (phase !== "stopping") interchange.place(steadyMs());
		carryOut(interchange.takeReactions(), {
			link,
			outlet,
			journal,
			reporter,
			audit: options.audit,
			wallMs: clock.wallMs,
		});
		if (phase === "running" && interchange.counts().managers === 0 && !interchange.empty) scaling.scale();
	}

	const scaling = new ScalingDriver({
		supervisor,
		interchange,
		queues: config.queues,
		clock,
		log,
	});
	const heartbeat = new Heartbeat({
		endpointId,
		version,
		periodMs: config.heartbeatPeriodMs,
		clock,
		send: (body) => uplink.heartbeat(body),
		mood() {
			const { waiting, held } = interchange.counts();
			return { waiting: waiting > 0, busy: held > 0 };
		},
		state() {
			const { waiting, held, workers, idleWorkers, managers, cores } = interchange.counts();
			const { paused, trouble } = supervisor.view;
			return {
				total_workers: workers,
				idle_workers: idleWorkers,
				pending_tasks: waiting,
				outstanding_tasks: waiting + held,
				managers,
				total_cores: cores,
				scheduler: scheduler.name,
				worker_runtimes: [...runtimes.seen],
				...(trouble !== "" && { trouble }),
				...(paused !== undefined && { paused }),
				blocks: summarizeAll(supervisor.blocks, (id) => attachments.count(id)),
				waiting: interchange.waiting(scaling.view(), steadyMs()),
			};
		},
	});

	const ticking = setInterval(() => {
		link.tick();
		interchange.tick(steadyMs());
		reporter.tick(clock.wallMs());
		settleIfDone();
		supervisor.tick();
		if (phase === "running") scaling.scale();
		turnSoon();
		heartbeat.tick();
		if (idle.look(!interchange.empty || !outlet.quiet, steadyMs())) {
			log.info({ idleMs: options.idleShutdownMs }, "nothing to do: the endpoint ends");
			ending.resolve("idle");
		}
	}, tickMs);

	outlet.resume(
		journal.recovered.unconfirmed.map(({ number, bytes }) => ({
			number,
			bytes,
			results: fromBinary(ResultBatchSchema, bytes).results,
		})),
	);
	const { transferProgram: program } = options;
	const transfers = program === undefined ? undefined : openTransferProcess(program, directory, config, log);
	phase = "running";
	settleIfDone();
	scaling.scale();
	supervisor.tick();
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

	async function stop(how: { hurry?: boolean; graceMs?: number } = {}): Promise<void> {
		if (phase === "stopping") return;
		phase = "stopping";
		log.info({ keepManagers: keepsManagers, running: interchange.counts().held }, "the endpoint is stopping");
		if (!keepsManagers) {
			for (const { id } of supervisor.blocks) interchange.drainBlock(id, "the endpoint is stopping");
			turnSoon();
			const untilMs = steadyMs() + (how.hurry ? 0 : (how.graceMs ?? config.stopGraceMs));
			while (interchange.counts().held > 0 && steadyMs() < untilMs)
				await new Promise((resolve) => setTimeout(resolve, 50));
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
			await Promise.race([Promise.all([outlet.delivered(), heartbeat.tell(false)]), late]);
		}
		await transfers?.close();
		heartbeat.close();
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
			if (failed instanceof Fault && failed.code === "ENDPOINT_NOT_FOUND") {
				// It was deleted: nobody comes next, and nobody takes a result.
				keepsManagers = false;
				await stop({ ...how, graceMs: 0 });
			}
			// Another daemon has the endpoint, or its key has changed, or nothing can be recorded any more: managers are left
			// to whoever comes next.
			else if (failed instanceof Error) await abandon();
			else await stop(how);
		},
		abandon,
	};
}
