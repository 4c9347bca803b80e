/**
 * The batch script of a Grid Engine job. Hosts keep scripts where every user of theirs can read them, so the block's
 * environment, which holds its token, comes from a file of the user's own instead.
 */
import { batchScript } from "../batch-script.ts";
import { directiveText, directiveWord, parseDependency } from "../directive.ts";
import { type BlockSpec, SubmitRejected } from "../scheduler.ts";
import { shellWord } from "../shell-word.ts";

/** @param environmentPath what {@link environmentText} was written to */
export function jobScript(spec: BlockSpec, mark: string, environmentPath: string): string {
	// Grid Engine's own `-o` reads colons, commas and dollar signs in a path.
	const start = [`exec </dev/null >>${shellWord(spec.logPath)} 2>&1`, `. ${shellWord(environmentPath)}`];
	return batchScript(
		{ ...spec, environment: {}, workerInit: [...start, spec.workerInit].join("\n") },
		directives(spec),
		spec.nodes > 1 ? "qrsh" : "single",
		// Started anew, it would be another job with the same block's token.
		["#$ -S /bin/bash", `#$ -N ${spec.jobName}.${mark}`, "#$ -o /dev/null", "#$ -j y", "#$ -r n", "#$ -b n"],
	);
}

/** Shell text that exports the block's environment. */
export function environmentText({ environment }: BlockSpec): string {
	return Object.entries(environment)
		.map(([name, value]) => `export ${name}=${shellWord(value)}\n`)
		.join("");
}

function directives({ queue, nodes }: BlockSpec): string[] {
	const { account, queue: name, reservation, constraint, walltimeMs, dependsOnJob } = queue;
	const words: [string | undefined, (text: string) => string][] = [
		[account, (text) => `-P ${directiveWord("account", text)}`],
		[name, (text) => `-q ${directiveWord("queue", text)}`],
		[reservation, (text) => `-ar ${directiveWord("reservation", text)}`],
		[constraint, (text) => `-l ${directiveText("constraint", text)}`],
		[dependsOnJob, (text) => `-hold_jid ${heldBy(text)}`],
		[parallel(queue, nodes), (text) => `-pe ${text}`],
		[walltimeMs === undefined ? undefined : String(Math.ceil(walltimeMs / 1000)), (text) => `-l h_rt=${text}`],
	];
	return words.flatMap(([value, directive]) => (value === undefined ? [] : [`#$ ${directive(value)}`]));
}

function heldBy(text: string): string {
	const jobs = /^\d+(,\d+)*$/.test(text) ? text.split(",") : parseDependency(text)?.jobs;
	const when = parseDependency(text)?.when ?? "afterany";
	if (when !== "afterany" || jobs === undefined || !jobs.every((job) => /^\d+$/.test(job)))
		throw new SubmitRejected(
			`depends_on_job: Grid Engine can wait for the end of jobs, however they end: say "afterany:1234", not ${JSON.stringify(text)}`,
		);
	return jobs.join(",");
}

/** Grid Engine gives slots, and a parallel environment says how they lie on hosts. */
function parallel(queue: BlockSpec["queue"], nodes: number): string | undefined {
	const { parallelEnvironment, coresPerNode = 1 } = queue;
	if (parallelEnvironment !== undefined)
		return `${directiveWord("parallel_environment", parallelEnvironment)} ${nodes * coresPerNode}`;
	if (nodes > 1)
		throw new SubmitRejected(
			`Grid Engine gives several nodes through a parallel environment only: set parallel_environment to one that puts ` +
				`cores_per_node slots on each host (qconf -spl lists them), or nodes_per_block to 1, not ${nodes}`,
		);
	return undefined;
}
