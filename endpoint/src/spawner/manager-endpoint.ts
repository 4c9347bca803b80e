/**
 * A manager endpoint: it is asked by the cloud for user endpoints, starts each as the account of who asks, and says how it
 * is. It runs no tasks itself.
 */

import { existsSync } from "node:fs";
import { hostname, userInfo } from "node:os";
import { basename, join } from "node:path";
import type { EndpointCommand } from "@errand/proto";
import { Fault, faults } from "@errand/proto";
import type { EndpointRegistration } from "@errand/proto/rest";
import { ConfigFault } from "../config/config.ts";
import { readTemplateFiles, schemaDocument, templateOf } from "../multiuser/template-files.ts";
import { userConfigFiles } from "../multiuser/user-config-files.ts";
import { systemClock } from "../service/clock.ts";
import { Heartbeat } from "../service/heartbeat.ts";
import { takeLease } from "../service/lease.ts";
import type { Logger } from "../service/logger.ts";
import type { Served } from "../service/serve.ts";
import type { CloudClient } from "../uplink/cloud-client.ts";
import { tellStartFailure } from "../uplink/start-failure.ts";
import { openUplink } from "../uplink/uplink.ts";
import { openAuditLog } from "./audit-log.ts";
import { ChildRecords, lives } from "./child-record.ts";
import { type ManagerConfig, readManagerConfig } from "./manager-config.ts";
import { mappedAccounts, ownAccount, type ServedAccounts } from "./served-accounts.ts";
import { ForeignCommand, readStartRequest } from "./start-request.ts";
import { UserEndpoints } from "./user-endpoints.ts";
import { readUserEnvironment } from "./user-environment.ts";

const tickMs = 1_000;

export interface ManagerEndpointOptions {
	readonly directory: string;
	readonly endpointId: string;
	readonly config: ManagerConfig;
	readonly version: string;
	/** The endpoint program's main file. */
	readonly program: string;
	readonly cloud: CloudClient;
	readonly log: Logger;
	/** Ends a start that waits for the cloud or the lease. */
	readonly signal: AbortSignal;
}

/** Root with an identity map serves everybody whom it maps. */
export const servesOthers = (): boolean => process.geteuid?.() === 0;

/** Resolves when the manager is registered. Throws a ConfigFault when one of its files has a fault. */
export async function openManagerEndpoint(options: ManagerEndpointOptions): Promise<Served> {
	const { directory, endpointId, config, cloud, log, version, signal } = options;
	const clock = systemClock();
	const ending = Promise.withResolvers<Error | undefined>();
	const closing = new AbortController();
	signal.addEventListener("abort", () => closing.abort(signal.reason));

	function cannotGoOn(error: Error): void {
		// A lock is how somebody stops an endpoint from afar.
		if (error instanceof Fault && error.code === "RESOURCE_LOCKED") {
			log.info({ reason: error.message }, "the endpoint was locked; it stops");
			ending.resolve(undefined);
		} else ending.resolve(error);
	}

	// All of them once, so that a fault is told now, and not to the first who asks.
	templateOf(readTemplateFiles(directory));
	readUserEnvironment(directory);

	const accounts = await accountsOf(options);
	const lease = await takeLease({
		directory,
		cloud,
		log,
		signal: closing.signal,
		onLost: cannotGoOn,
	}).catch((error: unknown) => {
		accounts.close();
		throw error;
	});
	const audit = openAuditLog(directory, clock.wallMs, log);
	const users = new UserEndpoints({
		directory,
		managerId: endpointId,
		config,
		program: options.program,
		accounts,
		audit,
		tellFailure: (request, failure) => tellStartFailure(request.heartbeats, request.userEndpointId, failure),
		changed: () => heartbeat?.tellSoon(),
		nowMs: clock.wallMs,
		log,
	});
	users.adopt();
	const register = (until: AbortSignal, whileLocked: "wait" | "refuse") =>
		cloud.register(registrationOf(options, users.ids), until, { whileLocked });
	let heartbeat: Heartbeat | undefined;
	const places = await register(closing.signal, "wait").catch(async (error: unknown) => {
		users.letGo();
		accounts.close();
		await lease.release();
		throw error;
	});
	const uplink = openUplink({
		places,
		renew: (until) => register(until, "refuse"),
		log,
		events: {
			taskBatch: () => Promise.reject(new RangeError("task message: a manager runs no tasks itself")),
			command,
			connected: () => void heartbeat?.tell(),
			disconnected: (reason) => log.warn({ reason }, "uplink: user endpoints go on; requests wait for the broker"),
			refused: cannotGoOn,
		},
	});
	heartbeat = new Heartbeat({
		endpointId,
		version,
		periodMs: config.heartbeatPeriodMs,
		clock,
		send: (body) => uplink.heartbeat(body),
		mood: () => ({ waiting: false, busy: users.count > 0 }),
		state: () => ({
			total_workers: 0,
			idle_workers: 0,
			pending_tasks: 0,
			outstanding_tasks: 0,
			managers: 0,
			total_cores: 0,
			scheduler: "user endpoints",
			user_endpoints: users.ids.length,
		}),
	});
	const ticking = setInterval(() => heartbeat?.tick(), tickMs);
	log.info({ endpoint: endpointId, version, userEndpoints: users.ids }, "the manager is running");

	async function command(received: EndpointCommand, sentAtMs?: number): Promise<void> {
		switch (received.command) {
			case "cmd_stop":
				log.info({ reason: received.kwargs.reason }, "the cloud asks this endpoint to stop");
				ending.resolve(undefined);
				return;
			case "cmd_cancel_tasks":
				throw new RangeError("command: a manager has no tasks to cancel");
			case "cmd_start_endpoint":
				try {
					await users.start(readStartRequest(received, endpointId), sentAtMs);
				} catch (error) {
					if (!(error instanceof ForeignCommand)) throw error;
					audit.note(
						{
							user_endpoint_id: received.kwargs.amqp_creds.endpoint_id,
							identity_id: received.globus_effective_identity,
							username: received.globus_username,
						},
						{ event: "refuse", reason: error.message },
					);
					throw new RangeError(`command: ${error.message}`);
				}
		}
	}

	return {
		ending: ending.promise,
		async stop() {
			const failed = await Promise.race([ending.promise, Promise.resolve(undefined)]);
			log.info({ userEndpoints: users.ids, keep: config.keepUserEndpoints }, "the manager is stopping");
			if (endsUsers(failed, config)) await users.endAll();
			else users.letGo();
			await heartbeat?.tell(false);
			heartbeat?.close();
			clearInterval(ticking);
			closing.abort(new Error("the manager is stopping"));
			await uplink.close();
			accounts.close();
			await audit.written();
			if (failed instanceof Fault && failed.code === "LEASE_HELD") lease.abandon();
			else await lease.release();
		},
	};
}

/** Not when another manager has taken over, or when this one failed: whoever comes next finds them. */
function endsUsers(failed: Error | undefined, { keepUserEndpoints }: ManagerConfig): boolean {
	if (failed === undefined) return !keepUserEndpoints;
	// The cloud will not have this endpoint any more.
	return failed instanceof Fault && failed.code !== "LEASE_HELD" && !faults[failed.code].retry;
}

async function accountsOf({
	directory,
	endpointId,
	cloud,
	log,
	signal,
}: ManagerEndpointOptions): Promise<ServedAccounts> {
	if (!servesOthers()) return ownAccount(await cloud.ownerId(signal));
	const path = join(directory, userConfigFiles.identityMapping);
	if (!existsSync(path))
		throw new ConfigFault(path, [
			"it is missing: an endpoint that is root's runs nothing as root, and this says as whom else. Write it, or run the endpoint as yourself",
		]);
	return mappedAccounts(directory, endpointId, log);
}

/** As the manager of this directory would register now. Throws a ConfigFault. */
export function currentRegistration(directory: string, version: string): EndpointRegistration {
	const running = new ChildRecords(directory).all().filter(lives);
	const ids = running.map(({ user_endpoint_id: id }) => id);
	return registrationOf({ directory, version, config: readManagerConfig(directory) }, ids);
}

/** What the cloud is told; `running`: user endpoints with a process. Throws a ConfigFault when the template cannot be read. */
function registrationOf(
	{ directory, config, version }: Pick<ManagerEndpointOptions, "directory" | "config" | "version">,
	running: readonly string[],
): EndpointRegistration {
	const template = readTemplateFiles(directory);
	const schema = schemaDocument(template);
	const { displayName, allowedFunctions, admins, authenticationPolicy } = config;
	return {
		endpoint_name: basename(directory),
		...(displayName !== undefined && { display_name: displayName }),
		public: config.public,
		multi_user: servesOthers(),
		...(allowedFunctions !== undefined && { allowed_functions: [...allowedFunctions] }),
		...(authenticationPolicy !== undefined && { authentication_policy: authenticationPolicy }),
		...(admins.length > 0 && { admins: [...admins] }),
		metadata: {
			errand_protocol: 1,
			errand_manager: true,
			errand_user_endpoints: [...running],
			user_config_template: template.text,
			...(schema !== undefined && { user_config_schema: schema }),
			endpoint_version: version,
			hostname: hostname(),
			local_user: userInfo().username,
			pid: process.pid,
			node_version: process.version,
		},
	};
}
