/**
 * `npm start [-- --once]`: a cloud, an account, a login, an endpoint and a first job on real data, all on this machine.
 * Runs until Ctrl-C and leaves no process; with `--once` it ends by itself.
 */
import { userInfo } from "node:os";
import { formatDuration } from "../../sdk/cli/duration.ts";
import { openHome } from "../../sdk/cli/home.ts";
import { quoteWord } from "../../sdk/cli/run-target.ts";
import { openClient } from "../../sdk/cli/session.ts";
import { CommandFailure, type CommandOptions, errand } from "./command.ts";
import { runJob } from "./job.ts";

const endpointName = "local";
const started = performance.now();
const once = process.argv.includes("--once");
const home = openHome(process.env);
const say = (text = ""): void => void process.stdout.write(`${text}\n`);
const elapsed = (): string => formatDuration(performance.now() - started);

/** Ctrl-C may be heard twice, from the terminal and from npm; within this it counts as once. */
const sameInterruptMs = 1500;
const stop = new AbortController();
let interruptedAt: number | undefined;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
	process.on(signal, () => {
		interruptedAt ??= performance.now();
		if (performance.now() - interruptedAt > sameInterruptMs) process.exit(130);
		stop.abort(new Error(signal));
	});

const environment = { ...process.env, ERRAND_HOME: home.directory };
const type: CommandOptions = { environment, signal: stop.signal };
/** What was started here, to be stopped in the reverse order. */
const running: { name: string; words: readonly string[] }[] = [];

async function step<Value>(
	text: string,
	work: () => Promise<Value>,
	outcome: (value: Value) => string,
): Promise<Value> {
	if (process.stdout.isTTY) process.stdout.write(`  ${text} …`);
	let value: Value;
	try {
		value = await work();
	} finally {
		if (process.stdout.isTTY) process.stdout.write("\r\u001b[K");
	}
	say(`  ${outcome(value)}`);
	return value;
}

interface CloudStarted {
	url: string;
}
interface Account {
	username: string;
	admin: boolean;
	password?: string;
}

async function startCloud(): Promise<string> {
	const [status] = (await errand(["cloud", "status"], { ...type, accepts: [5] })) as [
		{ url: string; pid: number | null },
	];
	if (status.pid !== null) {
		say(`  The cloud of ${home.directory} is running already at ${status.url}; it is used, and left running.`);
		return status.url;
	}
	const { url } = await step(
		"Starting the cloud",
		async () => {
			running.unshift({ name: "the cloud", words: ["cloud", "stop"] });
			return ((await errand(["cloud", "start", "--detach"], type)) as [CloudStarted])[0];
		},
		(cloud) => `The cloud is ready at ${cloud.url}; its state is in ${home.cloud}.`,
	);
	return url;
}

/** The first administrator; made when the cloud is new. */
async function firstAccount(): Promise<string> {
	// A cloud without any account does not answer the operator yet: status 5.
	const [listed] = (await errand(["cloud", "user", "list"], { ...type, accepts: [5] })) as { accounts: Account[] }[];
	const known = listed?.accounts.find(({ admin }) => admin) ?? listed?.accounts[0];
	if (known) return known.username;
	const wished =
		userInfo()
			.username.replace(/[^a-z0-9._@-]/gi, "")
			.replace(/^[._@-]+/, "") || "admin";
	const [made] = (await errand(["cloud", "user", "add", wished, "--admin", "--generate"], type)) as [Account];
	say(`  Made the account ${made.username}. Its password, shown this once: ${made.password}`);
	return made.username;
}

async function login(url: string, username: string): Promise<void> {
	const known = (await errand(["whoami"], { ...type, accepts: [3, 4, 5] })) as {
		cloud_url: string;
		username: string;
	}[];
	if (known[0]?.cloud_url === url) {
		say(`  Logged in as ${known[0].username}.`);
		return;
	}
	await step(
		"Logging in",
		() => errand(["login", "--cloud", url, "--approve-as", username], type),
		() => `Logged in as ${username} with a device code (confirmed here: the state directory is yours).`,
	);
}

async function startEndpoint(): Promise<void> {
	await errand(["endpoint", "configure", endpointName], type);
	const [status] = (await errand(["endpoint", "status", endpointName], type)) as [
		{ here: { pid: number | null } | null },
	];
	if (status.here?.pid) {
		say(`  Endpoint ${endpointName} is running already; it is used, and left running.`);
		return;
	}
	await step(
		`Starting endpoint ${endpointName}`,
		async () => {
			running.unshift({ name: `endpoint ${endpointName}`, words: ["endpoint", "stop", endpointName] });
			await errand(["endpoint", "start", endpointName, "--detach"], type);
		},
		() => `Endpoint ${endpointName} is online.`,
	);
}

/** Ends what was started here, even when Ctrl-C came in the middle. */
async function stopAll(): Promise<boolean> {
	let clean = true;
	const patient: CommandOptions = { environment, signal: new AbortController().signal };
	for (const { name, words } of running.splice(0)) {
		try {
			const [outcome] = (await errand(words, { ...patient, accepts: [4] })) as ({ how: string } | undefined)[];
			// What did not come to life has been told already.
			if (outcome !== undefined && outcome.how !== "gone") say(`  Stopped ${name}.`);
		} catch (error) {
			clean = false;
			say(`  ${name} could not be stopped: ${(error as Error).message}`);
		}
	}
	return clean;
}

function untilStopped(): Promise<void> {
	if (stop.signal.aborted) return Promise.resolve();
	// An abort listener alone does not keep the process alive.
	const alive = setInterval(() => undefined, 60_000);
	return new Promise((resolve) =>
		stop.signal.addEventListener("abort", () => {
			clearInterval(alive);
			resolve();
		}),
	);
}

const nextSteps = (url: string): string => `
The cloud   ${url}    (its API: ${url}/v1/openapi.json)
Type next, ${once ? "while `npm start` runs" : "in another terminal"}:
${"ERRAND_HOME" in process.env ? `  export ERRAND_HOME=${quoteWord(home.directory)}\n` : ""}  npx errand run -e ${endpointName} -- hostname
  npx errand run -e ${endpointName} sdk/examples/statistics.py:mean '[[1, 2, 3]]'
  npx errand task list
  npx node sdk/examples/fan-out.ts
`;

async function main(): Promise<number> {
	say("Errand: functions on supercomputers, here on this machine.");
	say();
	const url = await startCloud();
	await login(url, await firstAccount());
	await startEndpoint();
	say();
	const client = await openClient(environment, home);
	await runJob(client, endpointName, process.stdout, () => say(`  First result ${elapsed()} after the start.`));
	say(nextSteps(url));
	if (!once) {
		say("Everything keeps running until Ctrl-C.");
		await untilStopped();
	}
	return 0;
}

let status: number;
try {
	status = await main();
} catch (error) {
	const interrupted = stop.signal.aborted;
	if (!interrupted) process.stderr.write(`\nerrand: ${(error as Error).message}\n`);
	if (!interrupted && !(error instanceof CommandFailure) && process.argv.includes("--debug"))
		process.stderr.write(`${(error as Error).stack}\n`);
	status = interrupted ? 130 : error instanceof CommandFailure ? error.status : 1;
}
if (running.length > 0 && (status === 0 || stop.signal.aborted))
	say(process.stdout.isTTY && stop.signal.aborted ? "\nStopping …" : "Stopping …");
const clean = await stopAll();
// Stopping is what Ctrl-C is for: it is a success once everything ran.
process.exit(clean ? status : status || 1);
