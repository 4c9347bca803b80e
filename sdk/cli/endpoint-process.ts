/** Starting and stopping the daemon of an endpoint on this machine. */
import type { Client } from "../src/index.ts";
import { type Ended, findProgram, startDetached, startForeground, untilEnded } from "./child-program.ts";
import { Complaint } from "./complaint.ts";
import type { Context } from "./context.ts";
import { type EndpointFiles, readCredentials, runningEndpoint } from "./endpoint-files.ts";
import { formatLogLine, tailOf } from "./log-file.ts";
import { endProcess, forgetProcess, processStart, writeProcessRecord } from "./process-record.ts";

/** A daemon that has not registered by then has something to say in its log. */
const onlineTimeoutMs = 60_000;
/** The daemon lets its workers end first; after this it is killed. */
const stopGraceMs = 30_000;

function startOf(context: Context, files: EndpointFiles) {
	const running = runningEndpoint(files);
	if (running)
		throw new Complaint("conflict", `endpoint "${files.name}" is running already (process ${running.pid})`, {
			next: `errand endpoint stop ${files.name}`,
		});
	return {
		program: findProgram("endpoint", context.environment),
		arguments: ["run", files.directory],
		environment: endpointEnvironment(context.environment),
	};
}

/** What belongs to this command and to a cloud on the same machine; tasks inherit what the daemon has. */
const notForTasks = /^(ERRAND_TOKEN|ERRAND_CLOUD_.*|DATABASE_URL|AMQP_URL|RABBITMQ_MANAGEMENT_URL)$/;

function endpointEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
	return Object.fromEntries(Object.entries(environment).filter(([name]) => !notForTasks.test(name)));
}

/** Runs the daemon until it ends or the person says stop. `onStart` gets its process id. */
export async function runEndpoint(
	context: Context,
	files: EndpointFiles,
	onStart: (pid: number) => void,
): Promise<Ended> {
	const child = startForeground(startOf(context, files), context.childOutput);
	const ended = untilEnded(child, context.signal);
	if (child.pid !== undefined) {
		writeProcessRecord(files.process, child.pid);
		onStart(child.pid);
	}
	try {
		return await ended;
	} finally {
		forgetProcess(files.process);
	}
}

/** Starts the daemon in the background and waits until the cloud has heard from it. */
export async function launchEndpoint(context: Context, client: Client, files: EndpointFiles): Promise<number> {
	const id = readCredentials(files)?.endpoint_id ?? files.name;
	const start = startOf(context, files);
	const before = (await client.getEndpoint(id)).last_seen_at;
	const { sizeBytes } = await tailOf(files.log, 0);
	const child = startDetached(start, files.log);
	const { pid } = child;
	if (pid === undefined) throw new Complaint("failed", `the daemon could not be started: ${start.program}`);
	const { start: startMark } = writeProcessRecord(files.process, pid, { log: files.log });
	const deadline = context.now() + onlineTimeoutMs;
	let pauseMs = 50;
	for (;;) {
		const ended = child.exitCode !== null || child.signalCode !== null || processStart(pid) !== startMark;
		const endpoint = ended ? undefined : await client.getEndpoint(id);
		if (endpoint?.status === "online" && endpoint.last_seen_at !== before) return pid;
		if (ended || context.now() > deadline) {
			if (!ended)
				await endProcess(
					{ pid, start: startMark },
					{ now: () => context.now(), pause: (ms) => context.pause(ms), graceMs: stopGraceMs },
				);
			forgetProcess(files.process);
			throw await startFailure(files, sizeBytes, ended);
		}
		await context.pause(pauseMs);
		pauseMs = Math.min(pauseMs * 1.3, 500);
	}
}

async function startFailure(files: EndpointFiles, since: number, ended: boolean): Promise<Complaint> {
	const { lines } = await tailOf(files.log, 12, since);
	const said =
		lines.length > 0 ? lines.map((line) => `    ${formatLogLine(line)}`).join("\n") : "    (it wrote nothing)";
	const what = ended ? "ended at once" : `was not online within ${onlineTimeoutMs / 1000} s and was stopped`;
	return new Complaint("failed", `endpoint "${files.name}" ${what}; the end of its log:\n${said}`, {
		next: `errand endpoint doctor ${files.name}`,
	});
}

/** Resolves when the daemon has ended. */
export async function stopEndpoint(context: Context, files: EndpointFiles): Promise<"ended" | "killed" | "gone"> {
	const running = runningEndpoint(files);
	if (!running) return "gone";
	const how = await endProcess(running, {
		graceMs: stopGraceMs,
		now: () => context.now(),
		pause: (ms) => context.pause(ms),
	});
	forgetProcess(files.process);
	return how;
}
