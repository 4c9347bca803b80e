/**
 * Kubernetes by `kubectl`: a block is a Job whose name is made of the block's id, so it can be created only once. The
 * environment of its pods, which holds the block's token, is a Secret that is removed with the Job.
 */
import { existsSync } from "node:fs";
import { appendFile, mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { stringify } from "yaml";
import type { KubernetesConfig } from "../../config/config.ts";
import { endpointMark, type JobMark } from "../job-mark.ts";
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
import { type Answer, SchedulerCommand, wordsOf } from "../scheduler-command.ts";
import { blockLabel, endpointLabel, jobManifest, objectNameOf, secretManifest } from "./manifest.ts";
import { type ListedJob, parseObjects } from "./objects.ts";

/** Enough for the words in which a manager says why it ends. */
const logLines = 200;

const lacks: Lacks = {
	account: "a Job has a namespace: kubernetes.namespace",
	constraint: "name nodes by kubernetes.node_selector, or by affinity in scheduler_options",
	reservation: "name nodes by kubernetes.node_selector",
	selectOptions: "name resources in scheduler_options, under container",
	parallelEnvironment: "nodes_per_block pods are started as one Job",
	dependsOnJob: "a Job waits for no other one",
};

/** The server has decided; anything else that goes wrong leaves it open whether it took what it was given. */
const decided =
	/^Error from server \((Forbidden|Invalid|BadRequest|NotFound|MethodNotAllowed|RequestEntityTooLarge|Unauthorized)\)|admission webhook .* denied|^error: (unable to recognize|error validating)/im;
const alreadyThere = /\(AlreadyExists\)/;

export function openKubernetesScheduler(
	{ directory, commandTimeoutMs, log }: SchedulerOptions,
	config: KubernetesConfig,
): Scheduler {
	const endpoint = endpointMark(directory);
	const command = new SchedulerCommand({ timeoutMs: commandTimeoutMs, log });
	/** Deleted Jobs are known by their absence, which does not say by whom. */
	const cancelled = new Set<JobId>();
	/** Jobs whose last words are in their log file. */
	const logged = new Set<JobId>();
	const kubectl = (...words: readonly string[]): [string, ...string[]] => [
		"kubectl",
		`--namespace=${config.namespace}`,
		...words,
	];
	const markOf = (spec: BlockSpec): JobMark => ({ endpoint, blockId: spec.blockId });

	async function list(): Promise<ListedJob[]> {
		const answer = await command.ask(
			kubectl("get", "jobs,pods", `--selector=${endpointLabel}=${endpoint}`, "--output=json"),
		);
		if (answer.code !== 0) throw new SchedulerSilent(`kubectl get: ${wordsOf(answer)}`);
		return parseObjects(answer.stdout, Date.now());
	}

	/** True when it is there, from now or from before. Throws {@link SubmitRejected} or {@link SchedulerSilent}. */
	async function create(manifest: object): Promise<Answer> {
		const answer = await command.ask(kubectl("create", "--filename=-", "--output=json"), JSON.stringify(manifest));
		if (answer.code === 0 || alreadyThere.test(answer.stderr)) return answer;
		if (decided.test(answer.stderr)) throw new SubmitRejected(wordsOf(answer));
		throw new SchedulerSilent(`kubectl create: ${wordsOf(answer)}`);
	}

	/** Kubernetes removes the secret with its owner, whoever removes that. */
	async function giveSecretToJob(blockId: string, created: Answer): Promise<void> {
		const uid = /"uid":\s*"([^"]+)"/.exec(created.stdout)?.[1];
		if (uid === undefined) return; // it was there before
		const owner = { apiVersion: "batch/v1", kind: "Job", name: objectNameOf(blockId), uid };
		const patch = JSON.stringify({ metadata: { ownerReferences: [owner] } });
		const answer = await command.run(
			kubectl("patch", "secret", objectNameOf(blockId), "--type=merge", `--patch=${patch}`),
		);
		if (answer.code !== 0)
			log.warn(
				{ block: blockId, says: wordsOf(answer) },
				"scheduler: a block's secret stays until the block is cancelled",
			);
	}

	async function submit(spec: BlockSpec): Promise<JobId> {
		refuseWhatLacks("kubernetes", lacks, spec);
		const mark = markOf(spec);
		const job = jobManifest(spec, mark, config);
		await mkdir(dirname(spec.logPath), { recursive: true, mode: 0o700 });
		await create(secretManifest(spec, mark));
		try {
			await giveSecretToJob(spec.blockId, await create(job));
		} catch (error) {
			if (error instanceof SubmitRejected)
				await command.run(kubectl("delete", "secret", objectNameOf(spec.blockId), "--ignore-not-found"));
			throw error;
		}
		return objectNameOf(spec.blockId);
	}

	/** What a job has said, for those who look at its log file: its pods may not reach that. */
	async function keepLog({ name, blockId, status, logPath }: ListedJob): Promise<void> {
		if (status.state !== "ended" || status.end === "completed" || logPath === undefined || logged.has(name)) return;
		logged.add(name);
		if (!existsSync(dirname(logPath)) || (await stat(logPath).catch(() => undefined))?.size) return;
		const answer = await command.run(
			kubectl("logs", `--selector=${blockLabel}=${blockId}`, `--tail=${logLines}`, "--prefix", "--ignore-errors"),
		);
		await appendFile(logPath, answer.stdout, { mode: 0o600 });
	}

	return {
		name: "kubernetes",
		capabilities: { multiNode: true, forgetsEnded: false, expectsStarts: false, dependencies: false },

		script: (spec) => stringify(jobManifest(spec, markOf(spec), config), { lineWidth: 0 }),

		submit,

		async poll(ids) {
			const jobs = await list();
			const asked = jobs.filter(({ name }) => ids.includes(name));
			for (const job of asked)
				await keepLog(job).catch((error: unknown) => log.warn({ err: error }, "scheduler: no log of an ended block"));
			const statuses = new Map(asked.map(({ name, status }) => [name, status]));
			return new Map(
				ids.map((id): [JobId, JobStatus] => {
					const gone: JobStatus = cancelled.has(id)
						? { state: "ended", end: "cancelled", reason: "cancelled" }
						: { state: "ended", end: "vanished", reason: "Kubernetes does not know the Job" };
					const status = statuses.get(id) ?? gone;
					return [id, cancelled.has(id) && status.state === "ended" ? { ...status, end: "cancelled" } : status];
				}),
			);
		},

		async cancel(ids, graceMs) {
			const blocks = ids.flatMap((id) => /^errand-([a-z0-9-]+)$/.exec(id)?.[1] ?? []);
			if (blocks.length === 0) return;
			for (const id of ids) cancelled.add(id);
			const limitMs = graceMs + commandTimeoutMs;
			const patient = new SchedulerCommand({ timeoutMs: limitMs, log });
			const answer = await patient.ask(
				kubectl(
					"delete",
					"jobs,pods,secrets",
					`--selector=${blockLabel} in (${blocks.join(",")})`,
					`--grace-period=${Math.max(1, Math.ceil(graceMs / 1000))}`,
					"--ignore-not-found",
					"--wait=true",
					`--timeout=${Math.ceil(limitMs / 1000)}s`,
				),
			);
			if (answer.code !== 0) throw new SchedulerSilent(`kubectl delete: ${wordsOf(answer)}`);
		},

		async listOurs() {
			const jobs = await list();
			return new Map(jobs.filter(({ status }) => status.state !== "ended").map(({ blockId, name }) => [blockId, name]));
		},

		onEnded: () => undefined, // it is the poll that tells
		close: () => undefined,
	};
}
