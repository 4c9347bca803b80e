/**
 * Blocks on a list of hosts, over `ssh`: a block takes hosts that have none of this endpoint's. What runs there is sent
 * on stdin, so no secret is in a list of processes, and no login shell but `/bin/sh` reads it.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { endpointMark } from "../job-mark.ts";
import { type Lacks, refuseWhatLacks } from "../lacks.ts";
import {
	type BlockSpec,
	type JobId,
	type JobStatus,
	type Scheduler,
	type SchedulerOptions,
	SchedulerSilent,
	SubmitRejected,
} from "../scheduler.ts";
import { SchedulerCommand, wordsOf } from "../scheduler-command.ts";
import { blockText, endText, reportText, startText } from "./far-side.ts";
import { faultIn, joinStatuses, parseReport } from "./host-report.ts";

/** For the connection; the rest of the command's time limit is for what runs there. */
const connectLimitSeconds = 10;

const instead = "a host of the list is as it is";
const lacks: Lacks = {
	account: instead,
	queue: instead,
	qos: instead,
	constraint: instead,
	reservation: instead,
	selectOptions: instead,
	parallelEnvironment: instead,
	schedulerOptions: "options of ssh belong into ssh_config",
	dependsOnJob: "there are no batch jobs",
};

type Blocks = ReadonlyMap<string, JobStatus>;

const jobId = (blockId: string, hosts: readonly string[]): JobId => `${blockId}@${hosts.join(",")}`;

function parseJobId(id: JobId): { blockId: string; hosts: string[] } {
	const at = id.indexOf("@");
	return at < 1 ? { blockId: id, hosts: [] } : { blockId: id.slice(0, at), hosts: id.slice(at + 1).split(",") };
}

/** An `ssh_config` in the endpoint's directory is used instead of the user's. */
export function openSshScheduler(
	{ directory, commandTimeoutMs, log }: SchedulerOptions,
	{ hosts: listed }: { readonly hosts: readonly string[] },
): Scheduler {
	const hosts = [...new Set(listed)];
	const endpoint = endpointMark(directory);
	const commands = new Map<string, SchedulerCommand>();
	let submitting: Promise<unknown> = Promise.resolve();

	function argv(host: string): [string, ...string[]] {
		const config = join(directory, "ssh_config");
		const options = [
			"BatchMode=yes",
			`ConnectTimeout=${Math.min(connectLimitSeconds, Math.ceil(commandTimeoutMs / 1000))}`,
			"ClearAllForwardings=yes",
			"RequestTTY=no",
		];
		return [
			"ssh",
			...(existsSync(config) ? ["-F", config] : []),
			...options.flatMap((option) => ["-o", option]),
			"--",
			host,
			"exec /bin/sh -s",
		];
	}

	/** Throws {@link SchedulerSilent} when the host does not answer, {@link SubmitRejected} when it says what is wrong. */
	async function tell(host: string, text: string, command: SchedulerCommand): Promise<Blocks> {
		const answer = await command.ask(argv(host), text);
		const blocks = parseReport(answer.stdout);
		if (blocks !== undefined) return blocks;
		const fault = faultIn(answer.stdout);
		if (fault !== undefined) throw new SubmitRejected(`${host}: ${fault}`);
		throw new SchedulerSilent(`${host}: ${wordsOf(answer)}`);
	}

	function commandOf(host: string): SchedulerCommand {
		const command = commands.get(host) ?? new SchedulerCommand({ timeoutMs: commandTimeoutMs, log });
		commands.set(host, command);
		return command;
	}

	/** Every host that answers, and what the others did instead. Throws {@link SchedulerSilent} when none does. */
	async function reports(
		asked: readonly string[],
	): Promise<{ blocks: Map<string, Blocks>; silent: Map<string, string> }> {
		const blocks = new Map<string, Blocks>();
		const silent = new Map<string, string>();
		await Promise.all(
			asked.map((host) =>
				tell(host, reportText({ endpoint, host }), commandOf(host)).then(
					(found) => blocks.set(host, found),
					(error: Error) => silent.set(host, error.message),
				),
			),
		);
		if (asked.length > 0 && blocks.size === 0) throw new SchedulerSilent([...silent.values()].join("; "));
		if (silent.size > 0) log.warn({ hosts: Object.fromEntries(silent) }, "scheduler: hosts do not answer");
		return { blocks, silent };
	}

	const livesIn = (blocks: Blocks | undefined): boolean =>
		blocks !== undefined && [...blocks.values()].some(({ state }) => state !== "ended");

	async function submitNow(spec: BlockSpec): Promise<JobId> {
		const { blocks, silent } = await reports(hosts);
		const already = hosts.filter((host) => blocks.get(host)?.has(spec.blockId));
		if (already.length >= spec.nodes) return jobId(spec.blockId, already);
		const free = hosts.filter((host) => blocks.has(host) && !livesIn(blocks.get(host)));
		const missing = spec.nodes - already.length;
		if (free.length < missing)
			throw new SubmitRejected(
				[
					`of ${hosts.length} hosts ${free.length} are free, and the block needs ${missing}`,
					...[...silent].map(([, words]) => words),
				].join("; "),
			);
		const taken = free.slice(0, missing);
		const started = await Promise.allSettled(
			taken.map((host) => tell(host, startText({ endpoint, host }, spec), commandOf(host))),
		);
		const failed = started.find((result) => result.status === "rejected");
		if (failed !== undefined) {
			await cancel([jobId(spec.blockId, [...already, ...taken])], 0).catch((error: unknown) =>
				log.warn({ block: spec.blockId, err: error }, "scheduler: a block that did not start may live on some hosts"),
			);
			throw failed.reason;
		}
		const own = hosts.filter((host) => already.includes(host) || taken.includes(host));
		return jobId(spec.blockId, own);
	}

	async function cancel(ids: readonly JobId[], graceMs: number): Promise<void> {
		const blocksOf = new Map<string, string[]>();
		for (const { blockId, hosts: own } of ids.map(parseJobId))
			for (const host of own) blocksOf.set(host, [...(blocksOf.get(host) ?? []), blockId]);
		const ended = await Promise.allSettled(
			[...blocksOf].map(async ([host, blockIds]) => {
				const patient = new SchedulerCommand({ timeoutMs: commandTimeoutMs + graceMs, log });
				await tell(host, endText({ endpoint, host }, blockIds, graceMs), patient);
			}),
		);
		const failed = ended.find((result) => result.status === "rejected");
		if (failed !== undefined) throw failed.reason;
	}

	return {
		name: "ssh",
		capabilities: { multiNode: true, forgetsEnded: false, expectsStarts: false, dependencies: false },

		script: (spec) => blockText(spec),

		/** One at a time: two must not take the same host. */
		submit(spec) {
			const submitted = submitting.then(() => {
				refuseWhatLacks("ssh", lacks, spec);
				return submitNow(spec);
			});
			submitting = submitted.catch(() => undefined);
			return submitted;
		},

		async poll(ids) {
			const jobs = ids.map((id) => ({ id, ...parseJobId(id) }));
			const { blocks, silent } = await reports([...new Set(jobs.flatMap(({ hosts: own }) => own))]);
			const onHost = (host: string, blockId: string): JobStatus => {
				const words = silent.get(host);
				if (words !== undefined) return { state: "unknown", reason: words };
				return (
					blocks.get(host)?.get(blockId) ?? {
						state: "ended",
						end: "vanished",
						reason: `${host} does not know the block`,
					}
				);
			};
			return new Map(
				jobs.map(({ id, blockId, hosts: own }) => [id, joinStatuses(own.map((host) => onHost(host, blockId)))]),
			);
		},

		cancel,

		async listOurs() {
			const { blocks } = await reports(hosts);
			const ours = new Map<string, string[]>();
			for (const host of hosts)
				for (const [blockId, { state }] of blocks.get(host) ?? [])
					if (state !== "ended") ours.set(blockId, [...(ours.get(blockId) ?? []), host]);
			return new Map([...ours].map(([blockId, own]) => [blockId, jobId(blockId, own)]));
		},

		onEnded: () => undefined, // it is the poll that tells
		close: () => undefined,
	};
}
