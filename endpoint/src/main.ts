#!/usr/bin/env node
/** `errand-endpoint`: the daemon of one endpoint directory. The only file that knows the concrete schedulers. */
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type SchedulerName, schedulerNames } from "@errand/proto";
import type { EndpointConfig, KubernetesConfig } from "./config/config.ts";
import { duration } from "./config/quantities.ts";
import { isManagerDirectory } from "./multiuser/user-config-files.ts";
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
import { exitStatus, exitStatusOf } from "./service/exit-status.ts";
import { managerProgram } from "./service/manager-command.ts";
import { transferProgram } from "./service/transfer-process.ts";
import { writeInitialConfig } from "./sites/initial-config.ts";
import { AnswerFault } from "./sites/site.ts";
import { sitesFolder } from "./sites/site-files.ts";
import { survey, thisMachine } from "./sites/survey.ts";
import { doctor } from "./verbs/doctor.ts";
import { manage } from "./verbs/manage.ts";
import { pause, resume } from "./verbs/pause.ts";
import type { Place } from "./verbs/place.ts";
import { run } from "./verbs/run.ts";
import { script } from "./verbs/script.ts";
import { serveUser } from "./verbs/serve-user.ts";

const usage = `usage: errand-endpoint run DIR                 serve the endpoint of this directory until told to stop
       errand-endpoint survey NAME [--site SITE] [--scheduler WORD] [--detect]
                                                what this machine is, and what is to be asked, as JSON
       errand-endpoint init DIR --name NAME [--site SITE] [--scheduler WORD] [--set SETTING=VALUE ...] [--multi-user]
                                                write its config.yaml, unless there is one; with --multi-user
                                                a template of it, for a manager endpoint
       errand-endpoint script DIR [--queue Q]   print the batch script of a block
       errand-endpoint render DIR [--identity WHO] [--user-config JSON|FILE] [--user-runtime JSON|FILE]
                                                the configuration that somebody's endpoint gets, as JSON
       errand-endpoint pause DIR [--reason R]   ask for no more blocks until it is resumed
       errand-endpoint resume DIR               ask for blocks again
       errand-endpoint doctor DIR [--json] [--online] [--canary [--queue NAME] [--timeout TIME]]
                                                look for what keeps it from working
       errand-endpoint --version`;

const mainFile = fileURLToPath(import.meta.url);

const schedulers: {
	readonly [Name in SchedulerName]: (options: SchedulerOptions, config: EndpointConfig) => Scheduler;
} = {
	local: openLocalScheduler,
	slurm: openSlurmScheduler,
	pbs: openPbsScheduler,
	torque: openTorqueScheduler,
	gridengine: openGridEngineScheduler,
	lsf: openLsfScheduler,
	htcondor: openCondorScheduler,
	flux: openFluxScheduler,
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

const openScheduler: Place["openScheduler"] = (config, directory, log) =>
	schedulers[config.scheduler]({ directory, log, commandTimeoutMs: config.commandTimeoutMs }, config);

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
			"multi-user": { type: "boolean", default: false },
			online: { type: "boolean", default: false },
			canary: { type: "boolean", default: false },
			queue: { type: "string" },
			identity: { type: "string" },
			"user-config": { type: "string" },
			"user-runtime": { type: "string" },
			reason: { type: "string" },
			timeout: { type: "string", default: "10m" },
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
	const [verb, where, ...more] = positionals;
	if (where === undefined || more.length > 0) throw new TypeError("which directory?");
	const directory = resolve(where);
	const place: Place = {
		directory,
		version: version(),
		mainFile,
		managerProgram: managerProgram(mainFile, process.env),
		transferProgram: transferProgram(mainFile, process.env),
		openScheduler,
	};
	const scheduler = schedulerNames.find((name) => name === values.scheduler);
	if (values.scheduler !== undefined && scheduler === undefined)
		throw new TypeError(`scheduler "${values.scheduler}" is not one of: ${schedulerNames.join(", ")}`);
	const { site, detect } = values;
	const sites = sitesFolder(mainFile, process.env);
	switch (verb) {
		case "run":
			return isManagerDirectory(directory) ? await manage(place) : await run(place);
		case "serve-user":
			// Not in the usage: only a manager endpoint starts it, with all it needs on standard input.
			return await serveUser(where, place);
		case "script":
			return await script(place, values.queue);
		case "render": {
			// The daemon is to stay small: only this verb needs a template language and JSON Schema.
			const { render } = await import("./verbs/render.ts");
			const { identity, "user-config": userConfig, "user-runtime": userRuntime } = values;
			return await render(directory, { identity, userConfig, userRuntime });
		}
		case "pause":
			return await pause(directory, values.reason);
		case "resume":
			return await resume(directory);
		case "survey": {
			const found = await survey({ name: where, site, scheduler, detect }, sites, thisMachine(process.env));
			process.stdout.write(`${JSON.stringify(found)}\n`);
			return exitStatus.ok;
		}
		case "init": {
			const name = values.name ?? basename(directory);
			const request = { name, site, scheduler, answers: answersOf(values.set), multiUser: values["multi-user"] };
			writeInitialConfig(directory, request, sites);
			return exitStatus.ok;
		}
		case "doctor": {
			const waitMs = duration.parse(values.timeout);
			const canary = values.canary ? { queue: values.queue, waitMs } : undefined;
			return await doctor(place, { json: values.json, online: values.online, canary });
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
