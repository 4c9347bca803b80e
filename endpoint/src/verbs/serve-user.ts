/**
 * The process of a user endpoint, started by a manager endpoint as the account it is for: fills in the template, writes its
 * directory, and then is an ordinary daemon. All that it is told comes on standard input; its line to the manager is descriptor 3.
 */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Fault } from "@errand/proto";
import { ConfigFault, type EndpointConfig } from "../config/config.ts";
import { type Credentials, writeCredentials } from "../config/credentials.ts";
import { exitStatusOf } from "../service/exit-status.ts";
import { TaskAudit } from "../service/task-audit.ts";
import { openManagerLine } from "../spawner/manager-line.ts";
import { decodeStartMessage, type StartMessage } from "../spawner/start-message.ts";
import type { Place } from "./place.ts";
import { runDaemon } from "./run.ts";

const lineDescriptor = 3;
/** Template, schema and values; their own limits are lower. */
const messageLimitBytes = 8 * 1024 * 1024;
/** Nobody is there to stop it. */
const defaultIdleShutdownMs = 600_000;

/** `name` is that of the directory, so that lists of processes show it. */
export async function serveUser(name: string, place: Place): Promise<number> {
	const line = openManagerLine(lineDescriptor);
	let running = false;
	try {
		const message = decodeStartMessage(await standardInput());
		if (message.name !== name) throw new Error(`this process was started as ${name} and is told to be ${message.name}`);
		checkAccount(message);
		const directory = join(message.account.dir, ".errand", "endpoints", name);
		mkdirSync(directory, { recursive: true, mode: 0o700 });
		const config = await writeDirectory(message, directory);
		line.say({ says: "rendered" });
		return await runDaemon({ ...place, directory }, config, credentialsOf(message), {
			audit: new TaskAudit((news) => line.say(news)),
			idleShutdownMs: config.idleShutdownMs ?? defaultIdleShutdownMs,
			onRunning: () => {
				running = true;
				line.say({ says: "running" });
			},
			onIdle: () => line.say({ says: "idle" }),
		});
	} catch (error) {
		process.stderr.write(`errand-endpoint: ${(error as Error).message}\n`);
		if (!running) line.say({ says: "failed", words: wordsOf(error) });
		return exitStatusOf(error);
	} finally {
		line.close();
	}
}

async function standardInput(): Promise<string> {
	const pieces: Buffer[] = [];
	let bytes = 0;
	for await (const piece of process.stdin) {
		bytes += (piece as Buffer).length;
		if (bytes > messageLimitBytes) throw new Error(`the manager says more than ${messageLimitBytes} bytes`);
		pieces.push(piece as Buffer);
	}
	return Buffer.concat(pieces).toString("utf8");
}

/** Whoever started it was to make it this account, with no way back. */
function checkAccount({ account: { uid, gid, uname } }: StartMessage): void {
	const ids = [process.getuid?.(), process.geteuid?.(), process.getgid?.(), process.getegid?.()];
	if (uid === 0 || ids.join() !== [uid, uid, gid, gid].join())
		throw new Error(`this process is not account ${uname} (${uid}), whom it is for: nothing is run`);
}

/** Throws a Fault or a ConfigFault for what does not go together. */
async function writeDirectory(message: StartMessage, directory: string): Promise<EndpointConfig> {
	// Only here, and only once: a daemon needs no template language.
	const [{ templateOf }, { renderUserConfig }] = await Promise.all([
		import("../multiuser/template-files.ts"),
		import("../multiuser/user-config.ts"),
	]);
	const { template, values, runtime, account, mapped_identity_id: identityId } = message;
	const { file, text, includes, schema, parent_config: parentConfig } = template;
	const rendered = renderUserConfig(
		templateOf({ file, text, includes, schema, parentConfig }),
		{ values, runtime, account, identityId },
		directory,
	);
	const path = join(directory, "config.yaml");
	writeFileSync(`${path}.new`, rendered.text, { mode: 0o600 });
	renameSync(`${path}.new`, path);
	writeCredentials(directory, credentialsOf(message));
	const { allowed_functions: allowedFunctions } = message;
	return allowedFunctions === undefined ? rendered.config : { ...rendered.config, allowedFunctions };
}

function credentialsOf({ credentials, user_endpoint_id: endpointId }: StartMessage): Credentials {
	return {
		cloudUrl: credentials.cloud_url.replace(/\/+$/, ""),
		endpointId,
		clientId: credentials.client_id,
		clientSecret: credentials.client_secret,
		tokenEndpoint: credentials.token_endpoint,
	};
}

function wordsOf(error: unknown): string {
	if (error instanceof Fault) return error.message;
	if (error instanceof ConfigFault)
		return `${error.message}\nAsk for something else, or ask the endpoint's administrator to look at its template.`;
	return `your endpoint could not be started: ${(error as Error).message}`;
}
