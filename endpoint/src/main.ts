#!/usr/bin/env node
/** `errand-endpoint`: the daemon of one endpoint directory. The only file that knows the concrete schedulers. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { hostname, userInfo } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import pino from "pino";
import { readPause, removePause, writePause } from "./blocks/pause-file.ts";
import {
	type EndpointConfig,
	type KubernetesConfig,
	readConfig,
	type SchedulerName,
	schedulerNames,
} from "./config/config.ts";
import { readCredentials } from "./config/credentials.ts";
import { duration } from "./config/quantities.ts";
import type { Check } from "./doctor/check.ts";
import { examine } from "./doctor/doctor.ts";
import { openFluxScheduler } from "./scheduler/flux/flux.ts";
import { openGridEngineScheduler } from "./scheduler/gridengine/gridengine.ts";
import { openCondorScheduler } from "./scheduler/htcondor/htcondor.ts";
import { openKubernetesScheduler } from "./scheduler/kubernetes/kubernetes.ts";
import { openLocalScheduler } from "./scheduler/local/local.ts";
import { openLsfScheduler } from "./scheduler/lsf/lsf.ts";
import { openPbsScheduler } from "./scheduler/pbs/pbs.ts";
import type { Scheduler, SchedulerOptions } from "./scheduler/scheduler.ts";
import { openSlurmScheduler } from "./scheduler/slurm/slurm.ts";
import { openSshScheduler } from "./scheduler/ssh/ssh.ts";
import { openTorqueScheduler } from "./scheduler/torque/torque.ts";
import { openDaemon } from "./service/daemon.ts";
import { exitStatus, exitStatusOf } from "./service/exit-status.ts";
import { type Logger, silentLogger } from "./service/logger.ts";
import { managerProgram } from "./service/manager-command.ts";
import { removeProcessRecord, writeProcessRecord } from "./service/process-record.ts";
import { shownScript } from "./service/shown-script.ts";
import { writeInitialConfig } from "./sites/initial-config.ts";
import { AnswerFault } from "./sites/site.ts";
import { sitesFolder } from "./sites/site-files.ts";
import { survey, thisMachine } from "./sites/survey.ts";
import { openCloudClient } from "./uplink/cloud-client.ts";

const usage = `usage: errand-endpoint run DIR                 serve the endpoint of this directory until told to stop
       errand-endpoint survey NAME [--site SITE] [--scheduler WORD] [--detect]
                                                what this machine is, and what is to be asked, as JSON
       errand-endpoint init DIR --name NAME [--site SITE] [--scheduler WORD] [--set SETTING=VALUE ...]
                                                write its config.yaml, unless there is one
       errand-endpoint script DIR [--queue Q]   print the batch script of a block
       errand-endpoint pause DIR [--reason R]   ask for no more blocks until it is resumed
       errand-endpoint resume DIR               ask for blocks again
       errand-endpoint doctor DIR [--json] [--online] [--canary [--queue NAME] [--timeout TIME]]
                                                look for what keeps it from working
       errand-endpoint --version`;

const mainFile = fileURLToPath(import.meta.url);

const schedulers: {
	readonly [Name in SchedulerName]?: (options: SchedulerOptions, config: EndpointConfig) => Scheduler;
} = {
	local: openLocalScheduler,
	slurm: openSlurmScheduler,
	pbs: openPbsScheduler,
	torque: openTorqueScheduler,
	lsf: openLsfScheduler,
	htcondor: openCondorScheduler,
	flux: openFluxScheduler,
	gridengine: openGridEngineScheduler,
	ssh: openSshScheduler,
	kubernetes: (options, { kubernetes }) => openKubernetesScheduler(options, kubernetes as KubernetesConfig), // the settings demand it
};

/** Of the package that this file is in, or of the bundle's neighbour. */
function version(): string {
	const path = [join(dirname(mainFile), "package.json"), join(dirname(mainFile), "..", "package.json")].find(
		existsSync,
	);
	return path === undefined ? "unknown" : (JSON.parse(readFileSync(path, "utf8")) as { version: string }).version;
}

function openScheduler(directory: string, config: EndpointConfig, log: Logger): Scheduler {
	const open = schedulers[config.scheduler];
	if (open === undefined)
		throw new Error(
			`this version has no scheduler "${config.scheduler}"; it has ${Object.keys(schedulers).join(", ")}`,
		);
	return open({ directory, log, commandTimeoutMs: config.commandTimeoutMs }, config);
}

async function run(directory: string): Promise<number> {
	const config = readConfig(directory);
	const credentials = readCredentials(directory);
	mkdirSync(config.workingDirectory, { recursive: true, mode: 0o700 });
	const log = pino({ level: config.logLevel, base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime });
	writeProcessRecord(directory, new Date());
	const asked = Promise.withResolvers<undefined>();
	const stopping = new AbortController();
	const starting = openDaemon({
		directory,
		endpointId: credentials.endpointId,
		config,
		version: version(),
		cloud: openCloudClient(credentials, Date.now, log),
		scheduler: openScheduler(directory, config, log),
		managerProgram: managerProgram(mainFile, process.env),
		log,
		signal: stopping.signal,
	});
	let signals = 0;
	for (const signal of ["SIGTERM", "SIGINT"] as const)
		process.on(signal, () => {
			log.info({ signal }, "asked to stop");
			if (++signals > 1) process.exit(exitStatus.internal);
			stopping.abort(new Error(`stopped by ${signal}`));
			asked.resolve(undefined);
		});
	try {
		const daemon = await starting;
		const error = await Promise.race([daemon.ending, asked.promise]);
		if (error) log.error({ err: error }, "the endpoint cannot go on");
		await daemon.stop();
		if (!error) return exitStatus.ok;
		process.stderr.write(`errand-endpoint: ${error.message}\n`);
		return exitStatusOf(error);
	} catch (error) {
		if (signals > 0) return exitStatus.ok;
		throw error;
	} finally {
		removeProcessRecord(directory);
	}
}

async function script(directory: string, queue: string | undefined): Promise<number> {
	const config = readConfig(directory);
	const scheduler = openScheduler(directory, config, silentLogger);
	try {
		const program = managerProgram(mainFile, process.env);
		process.stdout.write(await shownScript({ directory, config, scheduler, managerProgram: program, queue }));
	} finally {
		scheduler.close();
	}
	return exitStatus.ok;
}

async function pause(directory: string, reason: string | undefined): Promise<number> {
	const says = reason ?? `somebody (${userInfo().username} on ${hostname()}) paused it`;
	await writePause(directory, { reason: says, since: new Date().toISOString(), by: "person" });
	process.stdout.write(`${JSON.stringify({ paused: says })}\n`);
	return exitStatus.ok;
}

async function resume(directory: string): Promise<number> {
	const was = await readPause(directory);
	await removePause(directory);
	process.stdout.write(`${JSON.stringify({ was: was?.reason ?? null })}\n`);
	return exitStatus.ok;
}

const marks: Readonly<Record<Check["state"], string>> = { ok: "ok     ", warning: "warning", fault: "fault  " };

interface DoctorRequest {
	readonly json: boolean;
	readonly online: boolean;
	readonly canary: { readonly queue: string | undefined; readonly waitMs: number } | undefined;
}

async function doctor(directory: string, { json, online, canary }: DoctorRequest): Promise<number> {
	const stopping = new AbortController();
	for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stopping.abort());
	const checks = await examine({
		directory,
		managerProgram: managerProgram(mainFile, process.env),
		openScheduler: (config, place) => openScheduler(place, config, silentLogger),
		online,
		canary,
		tell: (sentence) => process.stderr.write(`canary: ${sentence}\n`),
		signal: stopping.signal,
	});
	const lines = checks.map(
		({ state, name, says, next }) => `${marks[state]} ${name}: ${says}${next ? `\n        ${next}` : ""}`,
	);
	process.stdout.write(json ? `${JSON.stringify({ checks })}\n` : `${lines.join("\n")}\n`);
	return checks.some(({ state }) => state === "fault") ? exitStatus.fault : exitStatus.ok;
}

/** `--set walltime=2h`: a later one for the same setting wins. */
function answersOf(words: readonly string[]): Record<string, string> {
	return Object.fromEntries(
		words.map((word) => {
			const at = word.indexOf("=");
			if (at < 1) throw new TypeError(`--set ${word}: a setting, =, and its value`);
			return [word.slice(0, at).trim(), word.slice(at + 1).trim()];
		}),
	);
}

async function main(argv: readonly string[]): Promise<number> {
	const { values, positionals } = parseArgs({
		args: [...argv],
		allowPositionals: true,
		options: {
			name: { type: "string" },
			scheduler: { type: "string" },
			site: { type: "string" },
			set: { type: "string", multiple: true, default: [] },
			detect: { type: "boolean", default: false },
			online: { type: "boolean", default: false },
			canary: { type: "boolean", default: false },
			queue: { type: "string" },
			timeout: { type: "string", default: "10m" },
			reason: { type: "string" },
			json: { type: "boolean", default: false },
			version: { type: "boolean", default: false },
			help: { type: "boolean", short: "h", default: false },
		},
	});
	if (values.version) {
		process.stdout.write(`${version()}\n`);
		return exitStatus.ok;
	}
	if (values.help) {
		process.stdout.write(`${usage}\n`);
		return exitStatus.ok;
	}
	const [verb, place, ...more] = positionals;
	if (place === undefined || more.length > 0) throw new TypeError("which directory?");
	const directory = resolve(place);
	const scheduler = schedulerNames.find((name) => name === values.scheduler);
	if (values.scheduler !== undefined && scheduler === undefined)
		throw new TypeError(`scheduler "${values.scheduler}" is not one of: ${schedulerNames.join(", ")}`);
	const { site, detect } = values;
	const sites = sitesFolder(mainFile, process.env);
	switch (verb) {
		case "run":
			return await run(directory);
		case "survey": {
			const found = await survey({ name: place, site, scheduler, detect }, sites, thisMachine(process.env));
			process.stdout.write(`${JSON.stringify(found)}\n`);
			return exitStatus.ok;
		}
		case "init": {
			const name = values.name ?? basename(directory);
			writeInitialConfig(directory, { name, site, scheduler, answers: answersOf(values.set) }, sites);
			return exitStatus.ok;
		}
		case "script":
			return await script(directory, values.queue);
		case "pause":
			return await pause(directory, values.reason);
		case "resume":
			return await resume(directory);
		case "doctor": {
			const waitMs = duration.parse(values.timeout);
			const canary = values.canary ? { queue: values.queue, waitMs } : undefined;
			return await doctor(directory, { json: values.json, online: values.online, canary });
		}
		default:
			throw new TypeError(`there is no verb "${verb}"`);
	}
}

main(process.argv.slice(2)).then(
	(status) => process.exit(status),
	(error: unknown) => {
		// Wrong use of the command line comes as a TypeError, parseArgs's own ones too.
		const wrongUse = error instanceof TypeError && !(error.cause instanceof Error);
		process.stderr.write(`errand-endpoint: ${(error as Error).message}\n${wrongUse ? `${usage}\n` : ""}`);
		process.exit(wrongUse || error instanceof AnswerFault ? exitStatus.usage : exitStatusOf(error));
	},
);
