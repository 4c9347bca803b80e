/** Begins the process of a user endpoint: what it is told, its line to us, and the record of it. */
import { createHash } from "node:crypto";
import { readTemplateFiles } from "../multiuser/template-files.ts";
import { type ChildPipe, type ChildPipeEvents, openChildPipe } from "./child-pipe.ts";
import { bootId, type ChildRecord, type ChildRecords } from "./child-record.ts";
import type { launch, UserProcess } from "./launch.ts";
import type { ServedAccount } from "./served-accounts.ts";
import { encodeStartMessage } from "./start-message.ts";
import type { StartRequest } from "./start-request.ts";
import { environmentOf, readUserEnvironment } from "./user-environment.ts";

export interface Begun {
	readonly process: UserProcess;
	/** Not written yet. */
	readonly record: ChildRecord;
	readonly pipe: ChildPipe;
}

export interface BeginOptions {
	/** The manager's. */
	readonly directory: string;
	readonly managerId: string;
	/** The endpoint program's main file. */
	readonly program: string;
	readonly allowedFunctions: readonly string[] | undefined;
	readonly records: ChildRecords;
	readonly launch: typeof launch;
	readonly nowMs: () => number;
}

/** Throws a ConfigFault when a file of the manager's has a fault now, or a Fault when nothing could be started. */
export async function beginProcess(
	{ directory, managerId, program, allowedFunctions, records, launch, nowMs }: BeginOptions,
	request: StartRequest,
	{ account, mappedIdentityId }: ServedAccount,
	events: ChildPipeEvents,
	sentAtMs: number | undefined,
): Promise<Begun> {
	const { userEndpointId: id, credentials, name } = request;
	const { parentConfig, ...texts } = readTemplateFiles(directory);
	const environment = environmentOf(account, readUserEnvironment(directory), process.env.LANG);
	const told = {
		template: { ...texts, parent_config: parentConfig },
		values: request.values,
		runtime: request.runtime,
	};
	const message = encodeStartMessage({
		...told,
		manager_id: managerId,
		user_endpoint_id: id,
		name,
		credentials,
		account: { ...account, groups: [...account.groups] },
		mapped_identity_id: mappedIdentityId,
		...(allowedFunctions && { allowed_functions: [...allowedFunctions] }),
	});
	const pipe = openChildPipe(records.pipePath(id), true, events);
	try {
		const line = pipe.openWritingEnd();
		const started = await launch({ account, name, program, environment, message, line });
		const record: ChildRecord = {
			user_endpoint_id: id,
			name,
			client_id: credentials.client_id,
			...(sentAtMs !== undefined && { sent_at_ms: sentAtMs }),
			identity_id: request.identityId,
			username: request.username,
			account: account.uname,
			uid: account.uid,
			pid: started.pid,
			start: started.start ?? "ended",
			boot: bootId(),
			started_at: new Date(nowMs()).toISOString(),
			config_digest: createHash("sha256").update(JSON.stringify(told)).digest("hex"),
			rendered: false,
			running: false,
		};
		return { process: started, record, pipe };
	} catch (error) {
		pipe.remove();
		throw error;
	}
}
