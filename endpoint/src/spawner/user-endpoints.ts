/**
 * The user endpoints of a manager: which are wanted, which run, what became of them. One process for each at a time; a
 * request that comes while an earlier process still ends is kept until it has.
 */
import { hostname } from "node:os";
import { Fault, type StartError } from "@errand/proto";
import type { LocalAccount } from "../multiuser/local-account.ts";
import { exitStatus } from "../service/exit-status.ts";
import type { Logger } from "../service/logger.ts";
import type { AuditEntry, AuditLog } from "./audit-log.ts";
import { type BeginOptions, beginProcess } from "./begin-process.ts";
import { AuditShares, childAudit, subjectOf } from "./child-audit.ts";
import type { ChildLine } from "./child-line.ts";
import { ChildRecords, lives } from "./child-record.ts";
import { endWords, failureOf, mayPass, wordsFor } from "./failure-words.ts";
import { type Ended, launch } from "./launch.ts";
import type { ManagerConfig } from "./manager-config.ts";
import { NewestCommands } from "./newest-commands.ts";
import type { ServedAccounts } from "./served-accounts.ts";
import { checkAge, type StartRequest } from "./start-request.ts";
import { LivingProcess, type UserProcessEvents } from "./user-process.ts";
import { type WantedEndpoint, wantedEndpoint } from "./wanted-endpoint.ts";

/** A process whose key has been replaced notices that by itself; one that does not in this time is killed. */
const fencedLimitMs = 20_000;
/** One that dies is started again so often … */
const revivals = 3;
/** … in this time; after that the cloud asks, when there is something to do. */
const revivalWindowMs = 600_000;
/** Ends that the same process would only repeat. */
const finalStatuses: ReadonlySet<number | null> = new Set<number | null>([
	exitStatus.ok,
	exitStatus.leaseHeld,
	exitStatus.forbidden,
	exitStatus.configuration,
]);

export interface UserEndpointsOptions {
	/** The manager's. */
	readonly directory: string;
	readonly managerId: string;
	readonly config: ManagerConfig;
	/** The endpoint program's main file. */
	readonly program: string;
	readonly accounts: ServedAccounts;
	readonly audit: AuditLog;
	/** Tells the cloud that a start has failed, and why: the error is in words for the submitter. */
	readonly tellFailure: (request: StartRequest, failure: StartError) => Promise<void>;
	/** How many run has changed. */
	readonly changed: () => void;
	readonly nowMs: () => number;
	readonly log: Logger;
	readonly launch?: typeof launch;
}

export class UserEndpoints {
	readonly #options: UserEndpointsOptions;
	readonly #records: ChildRecords;
	readonly #beginning: BeginOptions;
	readonly #newest: NewestCommands;
	readonly #shares: AuditShares;
	readonly #entries = new Map<string, WantedEndpoint>();
	readonly #deathsMs = new Map<string, number[]>();
	#stopping = false;
	#lettingGo = false;

	constructor(options: UserEndpointsOptions) {
		this.#options = options;
		this.#records = new ChildRecords(options.directory);
		this.#newest = new NewestCommands(options.nowMs);
		const { allowedFunctions, auditLinesPerHour } = options.config;
		this.#shares = new AuditShares(auditLinesPerHour, options.nowMs);
		this.#beginning = { launch, ...options, allowedFunctions, records: this.#records };
	}

	/** Those with a process. */
	get ids(): string[] {
		return [...this.#entries].filter(([, { process }]) => process !== undefined).map(([id]) => id);
	}

	get count(): number {
		return this.#entries.size;
	}

	/** At start: processes of the manager before. */
	adopt(): void {
		const { audit, log } = this.#options;
		for (const record of this.#records.all()) {
			const id = record.user_endpoint_id;
			if (!lives(record)) {
				audit.note(subjectOf(record), { event: "end", status: null, signal: null, reason: "while no manager ran" });
				this.#records.remove(id);
				continue;
			}
			const entry = wantedEndpoint(undefined, record.client_id);
			const { process, unheard } = LivingProcess.adopted(record, this.#records, this.#eventsOf(id, entry));
			this.#newest.take(id, record.client_id, record.sent_at_ms);
			entry.process = process;
			entry.uid = record.uid;
			this.#entries.set(id, entry);
			// One that cannot be heard may have said so long ago.
			if (!record.rendered && unheard === undefined) this.#limitStart(entry);
			audit.note(subjectOf(record), { event: "adopt", ...(unheard !== undefined && { unheard: true }) });
			if (unheard !== undefined)
				log.error(
					{ err: unheard, userEndpoint: id },
					"a user endpoint's line is lost: its tasks are not in the audit log",
				);
			log.info({ userEndpoint: id, process: record.pid, account: record.account }, "a user endpoint goes on");
		}
	}

	/** Resolves when it is decided; the process goes its own way. Never rejects. */
	async start(request: StartRequest, sentAtMs: number | undefined): Promise<void> {
		const { config, nowMs, log } = this.#options;
		const id = request.userEndpointId;
		if (this.#stopping) return;
		if (!this.#newest.take(id, request.credentials.client_id, sentAtMs)) {
			log.warn({ userEndpoint: id, sentAtMs }, "a command was sent before the one that is served, and is left out");
			return;
		}
		const known = this.#entries.get(id);
		if (known !== undefined) {
			// Commands are repeated until the process has checked in.
			if (known.clientId === request.credentials.client_id) return;
			if (known.next === undefined) log.info({ userEndpoint: id }, "a user endpoint is wanted again when it has ended");
			known.next = { request, sentAtMs };
			this.#fence(known);
			return;
		}
		try {
			checkAge(sentAtMs, nowMs());
			if (this.#entries.size >= config.maxUserEndpoints)
				throw new Fault(
					"NOT_READY",
					`this endpoint on ${hostname()} runs as many user endpoints as it may (${config.maxUserEndpoints}): try again later, or ask its administrator for a higher max_user_endpoints`,
				);
		} catch (error) {
			await this.#refuse(request, error);
			return;
		}
		const entry = wantedEndpoint(request, request.credentials.client_id);
		this.#entries.set(id, entry);
		await this.#begin(entry, request);
	}

	/** Ends all of them, in order first; one that is being started when it is there. */
	async endAll(): Promise<void> {
		this.#stopping = true;
		const { gracePeriodMs } = this.#options.config;
		const untilMs = performance.now() + gracePeriodMs;
		await Promise.all(
			[...this.#entries.values()].map(async (entry) => {
				entry.reason ??= "the manager was stopped";
				// Where the account is still looked up nothing is started any more.
				await entry.launching;
				await entry.process?.end(Math.max(0, untilMs - performance.now()));
			}),
		);
	}

	/** They go on without a manager; one that is being started too. */
	letGo(): void {
		this.#stopping = true;
		this.#lettingGo = true;
		for (const { process, limit, audit } of this.#entries.values()) {
			clearTimeout(limit);
			audit?.tellLost();
			process?.letGo();
		}
	}

	async #begin(entry: WantedEndpoint, request: StartRequest): Promise<void> {
		const { accounts, audit, changed, log } = this.#options;
		const id = request.userEndpointId;
		try {
			const served = await accounts.accountFor(request);
			if (this.#stopping) {
				this.#entries.delete(id);
				return;
			}
			this.#requireShare(entry, served.account);
			const events = this.#eventsOf(id, entry);
			const beginning = beginProcess(this.#beginning, request, served, events, this.#newest.sentAtMs(id));
			entry.launching = beginning.catch(() => undefined);
			const { process, record, pipe } = await beginning;
			entry.early = process.earlyWords;
			entry.process = LivingProcess.begun(record, this.#records, pipe, process.ended, events);
			entry.launching = undefined;
			if (this.#lettingGo) entry.process.letGo();
			else this.#limitStart(entry);
			audit.note(subjectOf(record), { event: "start", config_digest: record.config_digest });
			log.info(
				{ userEndpoint: id, process: record.pid, account: record.account, username: record.username },
				"a user endpoint is started",
			);
			if (this.#stopping) return;
			if (entry.next !== undefined) this.#fence(entry);
			changed();
		} catch (error) {
			this.#entries.delete(id);
			await this.#refuse(request, error);
			if (entry.next !== undefined) await this.start(entry.next.request, entry.next.sentAtMs);
		}
	}

	/** So that one person cannot take all places. Throws a NOT_READY fault. */
	#requireShare(entry: WantedEndpoint, { uid, uname }: LocalAccount): void {
		const { maxUserEndpointsPerAccount: limit } = this.#options.config;
		const others = [...this.#entries.values()].filter((other) => other !== entry && other.uid === uid).length;
		if (limit !== undefined && others >= limit)
			throw new Fault(
				"NOT_READY",
				`${uname} has as many user endpoints on ${hostname()} as one account may (${limit}): wait until one of them ends, submit with a configuration that you have used already, or ask the endpoint's administrator for a higher max_user_endpoints_per_account`,
			);
		entry.uid = uid;
	}

	#eventsOf(id: string, entry: WantedEndpoint): UserProcessEvents {
		const { audit, log, config } = this.#options;
		const warn = (): void =>
			log.warn(
				{ userEndpoint: id, uid: entry.uid, limit: config.auditLinesPerHour },
				"an account has had its lines of the audit log for this hour; further ones are counted (audit_lines_per_hour)",
			);
		const note = (what: AuditEntry): boolean => {
			if (entry.process === undefined) return false;
			entry.audit ??= childAudit(audit, this.#shares, entry.process.record, warn);
			return entry.audit.note(what);
		};
		return {
			line: (line) => this.#hear(entry, line, note),
			nonsense(lines) {
				if (note({ event: "lines-lost", lines }))
					log.warn({ userEndpoint: id, lines }, "a user endpoint says what is not understood");
			},
			ended: (how) => void this.#ended(id, entry, how),
		};
	}

	#hear(entry: WantedEndpoint, line: ChildLine, note: (what: AuditEntry) => boolean): void {
		switch (line.says) {
			// Each once: saying it again must neither put off the end of its time nor keep us writing it down.
			case "rendered":
				if (entry.process?.record.rendered) return;
				clearTimeout(entry.limit);
				entry.process?.mark({ rendered: true });
				if (entry.next !== undefined) this.#fence(entry);
				return;
			case "running":
				if (!entry.process?.record.running) entry.process?.mark({ running: true });
				return;
			case "failed":
				entry.reason ??= line.words;
				return;
			case "idle":
				entry.reason ??= "it had nothing to do";
				return;
			case "lost":
				note({ event: "lines-lost", lines: line.lines });
				return;
			default:
				note({
					event: `task-${line.says}`,
					task_id: line.task,
					...(line.function && { function_id: line.function }),
					...(line.says === "ended" && { state: line.state }),
					...(line.says === "started" && line.at_ms !== undefined && { at: new Date(line.at_ms).toISOString() }),
				});
		}
	}

	/** A template or schema that never ends is the only thing that takes so long: nothing of it runs with any rights but the account's. */
	#limitStart(entry: WantedEndpoint): void {
		const { startLimitMs } = this.#options.config;
		entry.limit = setTimeout(() => {
			entry.reason ??= `filling in the endpoint's template took longer than ${startLimitMs / 1000} s, and was stopped: ask for something else, or ask the endpoint's administrator to look at its template and schema`;
			entry.process?.signal("SIGKILL");
		}, startLimitMs);
	}

	/** The cloud has given its key to the process that comes after it. */
	#fence(entry: WantedEndpoint): void {
		const { process } = entry;
		if (process === undefined || (entry.limit !== undefined && !process.record.rendered)) return;
		clearTimeout(entry.limit);
		entry.limit = setTimeout(() => process.signal("SIGKILL"), fencedLimitMs);
	}

	async #ended(id: string, entry: WantedEndpoint, how: Ended): Promise<void> {
		clearTimeout(entry.limit);
		const { audit, changed, log } = this.#options;
		const { record } = entry.process as LivingProcess;
		const reason = entry.reason ?? endWords(how);
		entry.audit?.tellLost();
		audit.note(subjectOf(record), { event: "end", ...how, reason });
		log.info({ userEndpoint: id, process: record.pid, ...how, reason }, "a user endpoint has ended");
		this.#entries.delete(id);
		changed();
		if (this.#stopping) return;
		if (entry.next !== undefined) await this.start(entry.next.request, entry.next.sentAtMs);
		else if (entry.request === undefined) return;
		else if (!record.running)
			await this.#refuse(entry.request, failureOf({ reason: entry.reason, early: entry.early() }, how, record));
		else if (!finalStatuses.has(how.status)) await this.#revive(entry.request);
	}

	/** It died under its tasks. Its key is good still: nobody else has been asked for. */
	async #revive(request: StartRequest): Promise<void> {
		const { nowMs, log } = this.#options;
		const id = request.userEndpointId;
		const deaths = (this.#deathsMs.get(id) ?? []).filter((atMs) => nowMs() - atMs < revivalWindowMs);
		deaths.push(nowMs());
		this.#deathsMs.set(id, deaths);
		if (deaths.length > revivals) {
			log.error({ userEndpoint: id, deaths: deaths.length }, "a user endpoint dies again and again and is left alone");
			return;
		}
		log.warn({ userEndpoint: id, deaths: deaths.length }, "a user endpoint died and is started again");
		await this.start(request, nowMs());
	}

	async #refuse(request: StartRequest, error: unknown): Promise<void> {
		const { audit, log, tellFailure } = this.#options;
		const { userEndpointId, identityId, username } = request;
		const failure: StartError = { error: wordsFor(error), transient: mayPass(error) };
		log.warn({ err: error, userEndpoint: userEndpointId, identity: identityId, username }, "a start is refused");
		audit.note(
			{ user_endpoint_id: userEndpointId, identity_id: identityId, username },
			{ event: "refuse", reason: (error as Error).message },
		);
		await tellFailure(request, failure).catch((cause: unknown) =>
			log.warn({ err: cause, userEndpoint: userEndpointId }, "the cloud could not be told that a start failed"),
		);
	}
}
