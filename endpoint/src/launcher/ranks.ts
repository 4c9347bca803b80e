/**
 * How the processes ("ranks") of one task are started over its nodes. Words in, words out: no shell reads them. Runs on
 * compute nodes too.
 */
import type { LauncherName } from "../config/queue.ts";

export interface RankPlan {
	/** As the job's launchers call them; the first is where the launcher itself runs. */
	readonly hosts: readonly string[];
	readonly ranksPerNode: number;
	readonly coresPerRank: number;
	readonly gpusPerNode: number;
	/** Variables that every rank must see, for launchers that hand on only what they are told. */
	readonly variables: readonly string[];
	/** The queue's own words for the launcher. */
	readonly options: readonly string[];
}

/** Programs of one name that want different words: `mpiexec` and `mpirun` are asked which they are. */
export type MpiKind = "openmpi" | "hydra" | "pals";

/** @param versionText what `mpiexec --version` printed */
export function mpiKindOf(versionText: string): MpiKind {
	if (/Open MPI|OpenRTE/.test(versionText)) return "openmpi";
	return /HYDRA|Intel/.test(versionText) ? "hydra" : "pals";
}

type RankWords = (plan: RankPlan) => readonly string[];

const ranksOf = ({ hosts, ranksPerNode }: RankPlan): string => String(hosts.length * ranksPerNode);

const mpiWords: { readonly [Kind in MpiKind]: RankWords } = {
	openmpi: (plan) => [
		...["-np", ranksOf(plan), "--host", plan.hosts.map((host) => `${host}:${plan.ranksPerNode}`).join(",")],
		// Which cores are whose is decided here, not by a launcher that knows nothing of the task beside.
		...["--map-by", `ppr:${plan.ranksPerNode}:node:OVERSUBSCRIBE`, "--bind-to", "none"],
		...(plan.hosts.length > 1 ? plan.variables.flatMap((name) => ["-x", name]) : []),
	],
	hydra: (plan) => [
		...["-n", ranksOf(plan), "-ppn", String(plan.ranksPerNode), "-hosts", plan.hosts.join(","), "-bind-to", "none"],
	],
	pals: (plan) => [
		...["-n", ranksOf(plan), "--ppn", String(plan.ranksPerNode), "--hosts", plan.hosts.join(",")],
		...["--depth", String(plan.coresPerRank), "--cpu-bind", "none"],
	],
};

/** Starts every process itself and ends as the worst of them: for programs without MPI, on one node. */
const onThisNode =
	'n=$1; shift; i=0; s=0; p=; while [ "$i" -lt "$n" ]; do ERRAND_RANK=$i "$@" & p="$p $!"; i=$((i+1)); done; trap "kill $p" TERM; for c in $p; do wait "$c" || s=$?; done; exit "$s"';

const launches: { readonly [Name in Exclude<LauncherName, "auto" | "mpiexec" | "mpirun">]: RankWords | undefined } = {
	single: (plan) => ["/bin/sh", "-c", onThisNode, "errand", ranksOf(plan)],
	srun: (plan) => [
		...["srun", `--nodes=${plan.hosts.length}`, `--nodelist=${plan.hosts.join(",")}`, `--ntasks=${ranksOf(plan)}`],
		...[`--ntasks-per-node=${plan.ranksPerNode}`, `--cpus-per-task=${plan.coresPerRank}`, "--cpu-bind=none"],
		...["--overlap", "--mem=0", "--kill-on-bad-exit=1", "--export=ALL", "--input=none"],
	],
	aprun: (plan) => [
		...["aprun", "-n", ranksOf(plan), "-N", String(plan.ranksPerNode), "-d", String(plan.coresPerRank)],
		...["-L", plan.hosts.join(","), "-cc", "none"],
	],
	// It chooses among the job's hosts itself.
	jsrun: (plan) => [
		...["jsrun", "-n", String(plan.hosts.length), "-r", "1", "-a", String(plan.ranksPerNode)],
		...["-c", String(plan.ranksPerNode * plan.coresPerRank), "-g", String(plan.gpusPerNode), "-b", "none"],
	],
	flux: (plan) => [
		...["flux", "run", "--nodes", String(plan.hosts.length), "--ntasks", ranksOf(plan)],
		...["--cores-per-task", String(plan.coresPerRank), `--requires=hosts:${plan.hosts.join(",")}`],
	],
	ssh: undefined,
	qrsh: undefined,
	blaunch: undefined,
};

/**
 * The words before a program's own that start it as the plan says; undefined when this launcher cannot.
 *
 * @param kind of `mpiexec` and `mpirun`
 */
export function rankWords(
	launcher: Exclude<LauncherName, "auto">,
	plan: RankPlan,
	kind: MpiKind,
): readonly string[] | undefined {
	if (launcher === "mpiexec" || launcher === "mpirun") return [launcher, ...mpiWords[kind](plan), ...plan.options];
	if (launcher === "single") return plan.hosts.length > 1 ? undefined : launches.single?.(plan);
	const words = launches[launcher]?.(plan);
	return words === undefined ? undefined : [...words, ...plan.options];
}
