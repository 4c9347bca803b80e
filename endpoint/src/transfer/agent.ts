/**
 * What moves the files of an endpoint, or of a person's own command: asks the cloud what to do, lets other agents read
 * what transfers name, and writes what is to come here.
 */
import { mkdirSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { agentPollMs, Fault, faults } from "@errand/proto";
import type { AgentCollection, DestinationAssignment, SourceAssignment } from "@errand/proto/rest";
import type { LinkIdentity } from "../link/certificate.ts";
import type { Logger } from "../service/logger.ts";
import { BackOff, pause } from "../uplink/back-off.ts";
import type { Control } from "./control.ts";
import type { DiskThreads } from "./disk-threads.ts";
import { openLocalSource, type Roots } from "./local-source.ts";
import { discardParts, Pull } from "./pull.ts";
import { PullJournal } from "./pull-journal.ts";
import { openRelayLine } from "./relay-line.ts";
import { openRemoteSource } from "./remote-source.ts";
import { Reporter } from "./reporter.ts";
import type { SourceServer } from "./source-server.ts";

const firstWaitMs = 200;
const longestWaitMs = 15_000;

export interface AgentOptions {
	/** Journals are kept below it. */
	readonly directory: string;
	readonly cloudUrl: string;
	readonly control: Control;
	readonly identity: LinkIdentity;
	readonly collections: readonly AgentCollection[];
	readonly roots: Roots;
	readonly threads: DiskThreads;
	readonly server: SourceServer;
	/** `host:port`. */
	readonly addresses: readonly string[];
	/** Of one transfer, at a time. */
	readonly connections: number;
	readonly log: Logger;
}

export interface Agent {
	/** Rejects when the cloud will not have this agent. */
	readonly ending: Promise<never>;
	close(): Promise<void>;
}

/** The transfer does not go on: what is unfinished is taken away. */
class TransferOver extends Error {
	override readonly name = "TransferOver";
}

interface Running {
	assignment: DestinationAssignment;
	readonly ending: AbortController;
	readonly done: Promise<void>;
}

export function openAgent(options: AgentOptions): Agent {
	const { control, identity, server, threads, log, cloudUrl, connections } = options;
	const closing = new AbortController();
	const journals = join(options.directory, "transfers");
	mkdirSync(journals, { recursive: true, mode: 0o700 });
	const running = new Map<string, Running>();
	const relays = new Map<string, { assignment: SourceAssignment; line: { close(): void } }>();
	const ending = Promise.withResolvers<never>();
	ending.promise.catch(() => undefined);
	let revision = "";
	let firstAnswer = true;

	async function poll(waitMs: number, leaving = false): Promise<void> {
		const answer = await control.poll(
			{
				certificate: identity.certificate,
				addresses: [...options.addresses],
				collections: [...options.collections],
				revision,
				wait_ms: waitMs,
				leaving,
			},
			leaving ? AbortSignal.timeout(2_000) : closing.signal,
		);
		if (leaving) return;
		revision = answer.revision;
		serve(answer.assignments.filter((one) => one.role === "source"));
		pull(answer.assignments.filter((one) => one.role === "destination"));
		if (firstAnswer) {
			firstAnswer = false;
			log.info(
				{ collections: options.collections.map(({ name }) => name), port: server.port },
				"transfer: the agent is running",
			);
			await forgetOthers();
		}
	}

	async function run(): Promise<void> {
		const backOff = new BackOff(firstWaitMs, longestWaitMs);
		for (;;) {
			try {
				await poll(firstAnswer ? 0 : agentPollMs);
				backOff.reset();
			} catch (error) {
				closing.signal.throwIfAborted();
				if (error instanceof Fault && !faults[error.code].retry) throw error;
				const waitMs = backOff.nextMs();
				log.warn(
					{ err: error, waitMs: Math.round(waitMs) },
					"transfer: the cloud does not answer, waiting to ask again",
				);
				await pause(waitMs, closing.signal);
			}
		}
	}

	function serve(assignments: readonly SourceAssignment[]): void {
		server.serve(assignments);
		const relayed = new Map(
			assignments.filter((one) => one.used_route === "relay").map((one) => [one.transfer_id, one]),
		);
		for (const [id, { line }] of relays)
			if (!relayed.has(id)) {
				line.close();
				relays.delete(id);
			}
		for (const [id, assignment] of relayed) {
			const known = relays.get(id);
			if (known !== undefined) {
				known.assignment = assignment;
				continue;
			}
			const token = (): string => relays.get(id)?.assignment.relay_token ?? assignment.relay_token;
			const line = openRelayLine({ cloudUrl, transferId: id, token, connections, take: server.take, log });
			relays.set(id, { assignment, line });
		}
	}

	function pull(assignments: readonly DestinationAssignment[]): void {
		const wanted = new Set(assignments.map((one) => one.transfer_id));
		for (const [id, one] of running) if (!wanted.has(id)) one.ending.abort(new TransferOver("the transfer is over"));
		for (const assignment of assignments) {
			const known = running.get(assignment.transfer_id);
			if (known !== undefined) known.assignment = assignment;
			else begin(assignment);
		}
	}

	function begin(assignment: DestinationAssignment): void {
		const id = assignment.transfer_id;
		const over = new AbortController();
		const done = carryOut(id, over.signal).finally(() => running.delete(id));
		running.set(id, { assignment, ending: over, done });
	}

	async function carryOut(id: string, signal: AbortSignal): Promise<void> {
		await Promise.resolve(); // until it is in the map
		const assignment = (): DestinationAssignment => (running.get(id) as Running).assignment;
		const journal = new PullJournal(join(journals, id));
		const send = (report: object) =>
			control.report(id, { ...report, write_token: assignment().write_token } as never, signal);
		const reporter = new Reporter(send, signal, log);
		const { items, filter_rules: rules, recursive_symlinks: symlinks, used_route } = assignment();
		const source =
			used_route === "local"
				? openLocalSource({ roots: options.roots, work: threads.work, items, rules, symlinks })
				: openRemoteSource({ assignment, identity, cloudUrl, connections });
		log.info({ transfer: id, route: used_route }, "transfer: begun");
		try {
			const pulling = new Pull({
				assignment,
				renew: () => poll(0).catch(() => undefined),
				source,
				roots: options.roots,
				work: threads.work,
				journal,
				reporter,
				connections,
				signal,
				log,
			});
			const outcome = await pulling.run();
			await reporter.end(outcome);
			await journal.remove();
			log.info({ transfer: id, ...outcome }, "transfer: over");
		} catch (error) {
			if (signal.reason instanceof TransferOver) {
				await discardParts(journal, threads.work);
				await journal.remove();
				log.info({ transfer: id }, "transfer: ended by the cloud; what was unfinished is removed");
			} else if (!signal.aborted) {
				log.error({ transfer: id, err: error }, "transfer: a fault of the agent's own");
				await reporter
					.end({ status: "FAILED", fatal_error: { code: "FILE_ERROR", description: String(error).slice(0, 900) } })
					.catch(() => undefined);
				await discardParts(journal, threads.work);
				await journal.remove();
			}
		} finally {
			source.close();
		}
	}

	/** Journals of transfers that ended while this agent was away. */
	async function forgetOthers(): Promise<void> {
		for (const id of await readdir(journals)) {
			if (running.has(id)) continue;
			const journal = new PullJournal(join(journals, id));
			await discardParts(journal, threads.work);
			await journal.remove();
		}
	}

	const loop = run().catch((error: unknown) => {
		if (!closing.signal.aborted) ending.reject(error as Error);
	});

	return {
		ending: ending.promise,
		async close() {
			const stopping = new Error("the agent is stopping");
			closing.abort(stopping);
			await loop;
			for (const { line } of relays.values()) line.close();
			for (const one of running.values()) one.ending.abort(stopping);
			await Promise.all([...running.values()].map((one) => one.done));
			await poll(0, true).catch(() => undefined);
			await server.close();
			await threads.close();
		},
	};
}
