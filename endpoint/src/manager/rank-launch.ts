/** How this node starts the processes of a task over several processors or nodes: which program, and with which words. */
import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { coresAsked } from "@errand/proto/demand-key";
import type { LauncherName } from "../config/queue.ts";
import { type MpiKind, mpiKindOf, type RankPlan, rankWords } from "../launcher/ranks.ts";
import { quote } from "../worker/command/command-text.ts";
import type { HeldTask } from "./held-task.ts";

/** A launcher that does not say its version within this is taken as one that says nothing. */
const versionLimitMs = 10_000;

type Program = Exclude<LauncherName, "auto">;

/** What `auto` is in the batch job of each system; elsewhere, the first MPI that is there. */
const natural: { readonly [system: string]: Program } = { slurm: "srun", flux: "flux" };
const searched = ["mpiexec", "mpirun"] as const;

/** These start managers, not ranks. */
const managersOnly: ReadonlySet<LauncherName> = new Set(["auto", "single", "ssh", "qrsh", "blaunch"]);

export interface RankLaunchSettings {
	readonly launcher: LauncherName;
	readonly mpiLauncher: LauncherName;
	readonly mpiLauncherOptions: string;
	/** The batch system; empty outside of any. */
	readonly system: string;
	/** What its launchers call this node. */
	readonly host: string;
	/** The PATH that tasks see. */
	readonly path: string;
}

/** What one task needs to start its ranks, or why it cannot. */
export type RankStart =
	| { readonly words: readonly string[]; readonly environment: Readonly<Record<string, string>> }
	| { readonly refusal: string };

export const hasRanks = ({ resources }: HeldTask): boolean => resources.ranksPerNode > 0 || resources.nodes > 1;

export class RankLaunch {
	readonly #settings: RankLaunchSettings;
	readonly #launcher: Program;
	#kind: Promise<MpiKind> | undefined;

	constructor(settings: RankLaunchSettings) {
		this.#settings = settings;
		this.#launcher = chosen(settings);
	}

	/** @param variables names that every rank must see */
	async start(task: HeldTask, variables: readonly string[]): Promise<RankStart> {
		const plan = this.#plan(task, variables);
		this.#kind ??= this.#askKind();
		const words = rankWords(this.#launcher, plan, await this.#kind);
		if (words !== undefined) return { words, environment: rankEnvironment(plan) };
		const what = `launcher ${this.#launcher} starts no processes of a task over ${plan.hosts.length} nodes`;
		return { refusal: `${what}; set mpi_launcher in the endpoint's configuration, or install mpiexec there` };
	}

	#plan(task: HeldTask, variables: readonly string[]): RankPlan {
		const { resources, message } = task;
		const ranksPerNode = Math.max(1, resources.ranksPerNode);
		return {
			hosts: message.hosts.length > 0 ? message.hosts : [this.#settings.host],
			ranksPerNode,
			coresPerRank: Math.max(1, Math.floor(coresAsked(resources) / ranksPerNode)),
			gpusPerNode: Math.ceil(resources.gpus),
			variables: [...variables, ...Object.keys(publicNames)],
			options: this.#settings.mpiLauncherOptions.split(/\s+/).filter(Boolean),
		};
	}

	#askKind(): Promise<MpiKind> {
		const { path } = this.#settings;
		if (this.#launcher !== "mpiexec" && this.#launcher !== "mpirun") return Promise.resolve("pals");
		return new Promise((resolve) => {
			const options = { timeout: versionLimitMs, env: { ...process.env, PATH: path } };
			execFile(this.#launcher, ["--version"], options, (_, stdout, stderr) => resolve(mpiKindOf(stdout + stderr)));
		});
	}
}

function chosen({ mpiLauncher, launcher, system, path }: RankLaunchSettings): Program {
	if (mpiLauncher !== "auto") return mpiLauncher;
	if (!managersOnly.has(launcher)) return launcher as Program;
	const own = natural[system];
	if (own !== undefined && isOnPath(own, path)) return own;
	return searched.find((program) => isOnPath(program, path)) ?? "single";
}

function isOnPath(program: string, path: string): boolean {
	return path.split(delimiter).some((folder) => {
		try {
			accessSync(join(folder, program), constants.X_OK);
			return true;
		} catch {
			return false;
		}
	});
}

/** Our names, and for each the one that programs written for Parsl read. */
const publicNames = {
	ERRAND_NODES: "PARSL_NUM_NODES",
	ERRAND_RANKS: "PARSL_NUM_RANKS",
	ERRAND_RANKS_PER_NODE: "PARSL_RANKS_PER_NODE",
	ERRAND_HOSTS: "PARSL_MPI_NODELIST",
} as const;

function rankEnvironment(plan: RankPlan): Record<string, string> {
	const values: { readonly [Name in keyof typeof publicNames]: string } = {
		ERRAND_NODES: String(plan.hosts.length),
		ERRAND_RANKS: String(plan.hosts.length * plan.ranksPerNode),
		ERRAND_RANKS_PER_NODE: String(plan.ranksPerNode),
		ERRAND_HOSTS: plan.hosts.join(","),
	};
	const environment: Record<string, string> = {
		OMP_NUM_THREADS: String(plan.coresPerRank),
		// A launcher inside the step that started the manager shares its processors with it.
		SLURM_OVERLAP: "1",
	};
	for (const [name, alias] of Object.entries(publicNames) as [keyof typeof publicNames, string][]) {
		environment[name] = values[name];
		environment[alias] = values[name];
	}
	return environment;
}

/** The same words as text, for a template that starts its ranks itself. */
export function prefixEnvironment(words: readonly string[]): Record<string, string> {
	const prefix = words.map(quote).join(" ");
	return { ERRAND_MPI_PREFIX: prefix, PARSL_MPI_PREFIX: prefix };
}

/**
 * What an MPI launcher told the manager about being one of its ranks: a program that a task starts would take itself for
 * one of them.
 */
const launchedVariables =
	/^(OMPI_(COMM_WORLD|UNIVERSE|FILE_LOCATION|FIRST_RANKS|APP_CTX|COMMAND|ARGV|NUM_APP)|OMPI_MCA_(orte_|ess|pmix|initial_wdir|shmem_RUNTIME|hwloc_base_binding_policy|mpi_oversubscribe)|PMIX_|PMI_|PMI2_|HYDI_|PALS_(APID|APINFO|RANKID|NODEID|SPOOL|LOCAL))/;

export function withoutLaunch(environment: Readonly<Record<string, string>>): Record<string, string> {
	return Object.fromEntries(Object.entries(environment).filter(([name]) => !launchedVariables.test(name)));
}
