/** What keeps an endpoint from working, as far as the daemon's own parts can tell without starting it. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { hostname, networkInterfaces } from "node:os";
import { basename } from "node:path";
import type { EndpointRegistration } from "@errand/proto/rest";
import { type EndpointConfig, readConfig } from "../config/config.ts";
import { readCredentials } from "../config/credentials.ts";
import type { QueueConfig } from "../config/queue.ts";
import { isManagerDirectory } from "../multiuser/user-config-files.ts";
import { type Scheduler, SchedulerSilent } from "../scheduler/scheduler.ts";
import { linkAddresses } from "../service/link-addresses.ts";
import { silentLogger } from "../service/logger.ts";
import { probeBroker } from "../uplink/broker-probe.ts";
import { openCloudClient } from "../uplink/cloud-client.ts";
import { openTokens } from "../uplink/token.ts";
import { flyCanary } from "./canary.ts";
import { type Check, Findings, fault, ok, type Verdict, warning } from "./check.ts";
import { askClock, judgeClock } from "./clock.ts";
import { judgeFileSystem, probeFileSystem } from "./file-system.ts";

export interface DoctorOptions {
	readonly directory: string;
	readonly version: string;
	/** Of the program that runs now. */
	readonly mainFile: string;
	readonly managerProgram: string;
	readonly openScheduler: (config: EndpointConfig, directory: string) => Scheduler;
	/** A daemon serves this endpoint now: the broker is not tried, which would end its connections. */
	readonly online: boolean;
	/** Undefined: no canary. */
	readonly canary: { readonly queue: string | undefined; readonly waitMs: number } | undefined;
	readonly tell: (sentence: string) => void;
	readonly signal: AbortSignal;
}

const cloudTimeoutMs = 10_000;
const programTimeoutMs = 30_000;

export async function examine(options: DoctorOptions): Promise<Check[]> {
	const findings = new Findings();
	if (isManagerDirectory(options.directory)) {
		// Only these need a template language.
		const { examineManager } = await import("./manager-endpoint.ts");
		await examineManager(findings, options.directory, options.mainFile);
		await examineCloud(findings, options, async () => {
			const { currentRegistration } = await import("../spawner/manager-endpoint.ts");
			return currentRegistration(options.directory, options.version);
		});
		return findings.checks;
	}
	let config: EndpointConfig | undefined;
	await findings.look("config.yaml", () => {
		config = readConfig(options.directory);
		const counts = config.queues.map(({ name, maxBlocks }) => `${name}: at most ${maxBlocks}`).join(", ");
		return ok(`scheduler ${config.scheduler}; blocks of ${counts}`);
	});
	await findings.look("manager", () =>
		existsSync(options.managerProgram)
			? ok(options.managerProgram)
			: fault(`${options.managerProgram} is missing: the installation is not whole`, "install it again"),
	);
	if (config !== undefined) await examineMachine(findings, config, options);
	await examineCloud(findings, options, () => ({
		endpoint_name: basename(options.directory),
		metadata: { errand_protocol: 1 as const },
	}));
	if (config !== undefined && options.canary !== undefined)
		await examineCanary(findings, config, options, options.canary);
	return findings.checks;
}

async function examineMachine(findings: Findings, config: EndpointConfig, options: DoctorOptions): Promise<void> {
	const { directory } = options;
	const isLocal = config.scheduler === "local";
	const look = (at: string): Verdict => judgeFileSystem(at, probeFileSystem(at, Date.now), !isLocal);
	await findings.look("directory's disk", () => look(directory), `make ${directory} writable`);
	await findings.look(
		"working directory",
		() => {
			if (config.scheduler === "kubernetes" || config.scheduler === "htcondor")
				return ok(`${config.workingDirectory}, on the machine that runs the block`);
			return look(config.workingDirectory);
		},
		"say a working_directory that can be written",
	);
	for (const queue of config.queues) {
		const of = config.queues.length > 1 ? ` of ${queue.name}` : "";
		await findings.look(`python${of}`, () => python(config, queue));
		if (!isLocal) await findings.look(`launcher${of}`, () => launcher(config, queue));
	}
	if (isLocal) return;
	await findings.look("scheduler", () => askScheduler(config, options));
	await findings.look("addresses", () => addresses(config));
}

/** A program as a block finds it: after worker_init, by the same shell. */
function runAfterInit({ workerInit }: QueueConfig, words: readonly [string, ...string[]]) {
	return spawnSync("/bin/bash", ["-c", `${workerInit}\nexec "$@"`, "errand", ...words], {
		encoding: "utf8",
		timeout: programTimeoutMs,
	});
}

function python(config: EndpointConfig, queue: QueueConfig): Verdict {
	const run = runAfterInit(queue, [config.python, "--version"]);
	if (run.status === 0) return ok(`${run.stdout.trim() || run.stderr.trim()} (${config.python})`);
	return warning(
		`${config.python} does not run${lastLine(run.stderr)}: Python functions will fail here`,
		"set python or worker_init in config.yaml; JavaScript and shell functions work without it",
	);
}

const lastLine = (text: string): string => {
	const line = text.trim().split("\n").at(-1) ?? "";
	return line === "" ? "" : ` (${line})`;
};

/** Programs that start a manager on each node; the others are of bash. */
const launcherPrograms: ReadonlySet<string> = new Set(["srun", "mpiexec", "mpirun", "aprun", "jsrun", "ssh"]);

function launcher({ scheduler }: EndpointConfig, queue: QueueConfig): Verdict {
	const program = queue.launcher === "auto" && scheduler === "slurm" ? "srun" : queue.launcher;
	if (!launcherPrograms.has(program)) return ok(program === "auto" ? `what ${scheduler} brings` : program);
	const run = runAfterInit(queue, ["/bin/bash", "-c", 'command -v "$1"', "errand", program]);
	const path = run.stdout.trim().split("\n").at(-1);
	if (run.status === 0 && path) return ok(path);
	return warning(
		`there is no ${program} on this machine after worker_init; nodes may have it`,
		"load its module in worker_init, or say another launcher",
	);
}

async function askScheduler(config: EndpointConfig, options: DoctorOptions): Promise<Verdict> {
	const scheduler = options.openScheduler(config, options.directory);
	const startedMs = performance.now();
	try {
		const { size } = await scheduler.listOurs();
		const ms = Math.round(performance.now() - startedMs);
		return ok(`${scheduler.name} answers (${ms} ms); ${size} ${size === 1 ? "job" : "jobs"} of this endpoint`);
	} catch (error) {
		if (!(error instanceof SchedulerSilent)) throw error;
		return fault(
			error.message,
			`is this a login node of the site, with the programs of ${scheduler.name} on the PATH? command_timeout says how long they may take`,
		);
	} finally {
		scheduler.close();
	}
}

/** What managers will be told; the port is the daemon's to choose. */
function addresses(config: EndpointConfig): Verdict {
	const next = "say link_addresses: the interface that nodes reach this machine by, like ib0 or hsn0";
	if (/^(127\.|localhost$|::1$)/.test(config.linkHost))
		return fault(
			`the endpoint listens on ${config.linkHost} only: no node reaches it`,
			"remove link_host from config.yaml",
		);
	const interfaces = networkInterfaces();
	const told = linkAddresses(config, config.linkPort ?? 0, hostname(), interfaces)
		.split(",")
		.map((address) => address.replace(/:\d+$/, ""));
	const says = `nodes are told ${told.join(", ")}`;
	const own = Object.values(interfaces).flatMap((all) => (all ?? []).map(({ address }) => address));
	const foreign = config.linkAddresses.filter((address) => !own.includes(address));
	if (foreign.length > 0) return warning(`${says}; ${hostname()} has no interface with ${foreign.join(", ")}`, next);
	if (told.every((address) => address === hostname() || address.startsWith("127.")))
		return warning(`${says}: this machine has no address but its own`, next);
	return ok(says);
}

async function examineCloud(
	findings: Findings,
	{ directory, online }: DoctorOptions,
	registration: () => EndpointRegistration | Promise<EndpointRegistration>,
): Promise<void> {
	const keyed = await findings.look(
		"credentials.json",
		() => ok(`endpoint ${readCredentials(directory).endpointId}`),
		`errand endpoint configure ${basename(directory)}`,
	);
	if (!keyed) return;
	const credentials = readCredentials(directory);
	const client = openCloudClient(credentials, Date.now, silentLogger);
	await findings.look("clock", async () => judgeClock(await askClock(credentials.cloudUrl, Date.now, cloudTimeoutMs)));
	const reached = await findings.look(
		"cloud",
		async () => {
			await client.version(AbortSignal.timeout(cloudTimeoutMs));
			return ok(`${credentials.cloudUrl} answers`);
		},
		`is ${credentials.cloudUrl} running, and reachable from here? A proxy is said with https_proxy and NODE_USE_ENV_PROXY=1`,
	);
	if (!reached) return;
	const accepted = await findings.look(
		"key",
		async () => {
			await openTokens(credentials, Date.now).accessToken();
			return ok("the cloud accepts this endpoint's key");
		},
		`errand endpoint configure ${basename(directory)} --new-key`,
	);
	if (!accepted) return;
	await findings.look(
		"broker",
		async () => {
			if (online) return ok("the daemon is connected to it");
			const places = await client.register(await registration(), AbortSignal.timeout(cloudTimeoutMs), {
				whileLocked: "refuse",
			});
			return ok(
				`${await probeBroker(places.task_queue_info.connection_url, cloudTimeoutMs)} takes this endpoint's credentials`,
			);
		},
		"does the network let connections out to that port? The cloud's operator can offer the broker on another one, 443 for example",
	);
}

async function examineCanary(
	findings: Findings,
	config: EndpointConfig,
	options: DoctorOptions,
	{ queue: name, waitMs }: NonNullable<DoctorOptions["canary"]>,
): Promise<void> {
	await findings.look("canary", async () => {
		const queue = config.queues.find((known) => name === undefined || known.name === name);
		if (queue === undefined)
			return fault(`there is no queue "${name}"`, `there are ${config.queues.map((known) => known.name).join(", ")}`);
		return await flyCanary({
			directory: options.directory,
			config,
			queue,
			managerProgram: options.managerProgram,
			openScheduler: (directory) => options.openScheduler(config, directory),
			waitMs,
			signal: options.signal,
			tell: options.tell,
			log: silentLogger,
		});
	});
}
