/** Starting, stopping and asking the cloud of this machine. */
import { connect } from "node:net";
import { join } from "node:path";
import { cloudDocument } from "@errand/proto/rest";
import { findProgram, startDetached, startForeground, untilEnded } from "./child-program.ts";
import { Complaint } from "./complaint.ts";
import type { Context } from "./context.ts";
import { type Home, makePrivateDirectory } from "./home.ts";
import { formatLogLine, tailOf } from "./log-file.ts";
import {
	endProcess,
	forgetProcess,
	type ProcessRecord,
	processStart,
	readProcessRecord,
	writeProcessRecord,
} from "./process-record.ts";

/** A first start makes a database; on a slow disk that takes a while. */
const readyTimeoutMs = 120_000;
/** The cloud closes its database and broker in order; after this it is killed. */
const cloudStopGraceMs = 30_000;
const defaultPort = 5000;
const defaultBrokerPort = 5672;

const cloudFiles = (home: Home) => ({
	process: join(home.cloud, "process.json"),
	log: join(home.cloud, "logs", "cloud.log"),
});

export function runningCloud(home: Home): ProcessRecord | undefined {
	return readProcessRecord(cloudFiles(home).process);
}

/** Where the cloud of this machine listens: what its record says, else what it would be started with. */
export function localCloudUrl(home: Home, environment: NodeJS.ProcessEnv): string {
	return runningCloud(home)?.url ?? urlOf(environment);
}

/** The port that the cloud would listen on. A Complaint when the variable holds something else. */
function portOf(environment: NodeJS.ProcessEnv): number {
	return portIn(environment, "ERRAND_CLOUD_PORT", defaultPort);
}

function portIn(environment: NodeJS.ProcessEnv, variable: string, otherwise: number): number {
	const text = environment[variable];
	if (!text) return otherwise;
	if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
	throw new Complaint("usage", `${variable} is "${text}": a port is a number from 0 to 65535`);
}

function urlOf(environment: NodeJS.ProcessEnv): string {
	return (environment.ERRAND_CLOUD_PUBLIC_URL || `http://localhost:${portOf(environment)}`).replace(/\/+$/, "");
}

/** A Complaint that says who has the port, when somebody has. */
export async function refuseTakenPort(environment: NodeJS.ProcessEnv): Promise<void> {
	const port = portOf(environment);
	if (port === 0 || !(await answers(port))) return await refuseTakenBrokerPort(environment);
	const other = await fetch(`http://localhost:${port}/v1/cloud`, { signal: AbortSignal.timeout(2000) })
		.then(async (response) => cloudDocument.safeParse(await response.json()).data)
		.catch(() => undefined);
	if (other)
		throw new Complaint("conflict", `port ${port} is taken by another Errand cloud (${other.name} ${other.version})`, {
			next: "stop it (errand cloud stop, with its ERRAND_HOME), or choose another port with ERRAND_CLOUD_PORT",
		});
	throw new Complaint("conflict", `port ${port} is taken by another program`, {
		next: `choose another port: ERRAND_CLOUD_PORT=${port + 1}`,
	});
}

/** The embedded broker's port is that of every AMQP broker: a RabbitMQ on this machine has it. */
async function refuseTakenBrokerPort(environment: NodeJS.ProcessEnv): Promise<void> {
	const port = portIn(environment, "ERRAND_CLOUD_AMQP_PORT", defaultBrokerPort);
	if (environment.AMQP_URL || port === 0 || !(await answers(port))) return;
	throw new Complaint("conflict", `port ${port}, for the embedded AMQP broker, is taken by another program`, {
		next: `choose another port: ERRAND_CLOUD_AMQP_PORT=${port + 1}; or use that broker: AMQP_URL`,
	});
}

function answers(port: number): Promise<boolean> {
	return new Promise((resolve) => {
		const socket = connect({ port, host: "localhost" });
		socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
		socket.once("connect", () => socket.destroy());
	});
}

async function startOf(context: Context) {
	const running = runningCloud(context.home);
	if (running)
		throw new Complaint(
			"conflict",
			`the cloud of ${context.home.directory} is running already at ${running.url} (process ${running.pid})`,
			{
				next: "errand cloud stop",
			},
		);
	await refuseTakenPort(context.environment);
	makePrivateDirectory(context.home.directory);
	makePrivateDirectory(context.home.cloud);
	return {
		program: findProgram("cloud", context.environment),
		arguments: [],
		environment: cloudEnvironment(context),
	};
}

/** The cloud refuses variables with its prefix that it does not know: those of this command are not passed on. */
function cloudEnvironment({ environment, home }: Context): NodeJS.ProcessEnv {
	const { ERRAND_CLOUD_URL, ERRAND_CLOUD_MAIN, ...rest } = environment;
	return { ...rest, ERRAND_HOME: home.directory };
}

/** Runs the cloud until it ends or the person says stop. */
export async function runCloud(context: Context, onStart: (record: ProcessRecord) => void) {
	const files = cloudFiles(context.home);
	const child = startForeground(await startOf(context), context.childOutput);
	const ended = untilEnded(child, context.signal);
	if (child.pid !== undefined)
		onStart(writeProcessRecord(files.process, child.pid, { url: urlOf(context.environment) }));
	try {
		return await ended;
	} finally {
		forgetProcess(files.process);
	}
}

/** Starts the cloud in the background and waits until it is ready. */
export async function launchCloud(context: Context): Promise<ProcessRecord> {
	const files = cloudFiles(context.home);
	const start = await startOf(context);
	const { sizeBytes } = await tailOf(files.log, 0);
	const child = startDetached(start, files.log);
	if (child.pid === undefined) throw new Complaint("failed", "the cloud could not be started");
	const url = urlOf(context.environment);
	const record = writeProcessRecord(files.process, child.pid, { url, log: files.log });
	const deadline = context.now() + readyTimeoutMs;
	let pauseMs = 30;
	for (;;) {
		const ended = child.exitCode !== null || child.signalCode !== null || processStart(record.pid) !== record.start;
		if (!ended && (await health(url)).ready) return record;
		if (ended || context.now() > deadline) {
			if (!ended) await stopCloud(context);
			forgetProcess(files.process);
			const { lines } = await tailOf(files.log, 20, sizeBytes);
			throw new Complaint(
				"failed",
				`the cloud ${ended ? "ended at once" : "was not ready in time and was stopped"}; the end of its log:\n${lines.map((line) => `    ${formatLogLine(line)}`).join("\n")}`,
				{ next: "errand cloud doctor" },
			);
		}
		await context.pause(pauseMs);
		pauseMs = Math.min(pauseMs * 1.3, 300);
	}
}

/** Resolves when the cloud has ended. */
export async function stopCloud(context: Context): Promise<"ended" | "killed" | "gone"> {
	const running = runningCloud(context.home);
	if (!running) return "gone";
	const how = await endProcess(running, {
		graceMs: cloudStopGraceMs,
		now: () => context.now(),
		pause: (ms) => context.pause(ms),
	});
	forgetProcess(cloudFiles(context.home).process);
	return how;
}

export interface Health {
	/** Something answers. */
	alive: boolean;
	/** All its parts answer. */
	ready: boolean;
	/** What does not, in the cloud's own words. */
	says: string;
}

/** Asks `/healthz` and `/readyz`; never throws. */
export async function health(url: string): Promise<Health> {
	try {
		const signal = AbortSignal.timeout(5000);
		const alive = (await fetch(`${url}/healthz`, { signal })).ok;
		const reply = await fetch(`${url}/readyz`, { signal });
		return { alive, ready: reply.ok, says: reply.ok ? "ready" : (await reply.text()).trim().slice(0, 500) };
	} catch (error) {
		const { cause } = error as { cause?: { code?: string; message?: string } };
		return { alive: false, ready: false, says: cause?.code ?? cause?.message ?? (error as Error).message };
	}
}
