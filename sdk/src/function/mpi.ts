/** MPI programs: commands whose tasks ask for ranks, and start on all of their nodes through the endpoint's launcher. */
import { toSpecification } from "../resources.ts";
import type { ShellResult } from "../serialize/result.ts";
import type { RemoteFunction } from "./remote-function.ts";
import { type ShellArguments, type ShellOptions, shell } from "./shell.ts";

export interface MpiOptions extends ShellOptions {
	/** 1 unless told. What `executor.with({ resources: { nodes } })` says goes before it. */
	nodes?: number;
	/** Processes on each node; 1 unless told. What `executor.with({ resources: { ranksPerNode } })` says goes before it. */
	ranksPerNode?: number;
	/** Milliseconds it is expected to take: it is not started on nodes that have less time left. The walltime unless told. */
	expectedMs?: number;
}

/**
 * An MPI program to submit: the endpoint starts `nodes × ranksPerNode` processes of it with the launcher that is
 * configured there (`srun`, `mpiexec`, …), on nodes that the task has for itself. Write the program, not `mpirun`.
 *
 * ```ts
 * const solver = mpi("./solver --cells {cells}", { nodes: 2, ranksPerNode: 64 });
 * const { returncode, stdout } = await executor.submit(solver, { cells: 4096 });
 * ```
 * Template, result and errors as those of `shell`.
 */
export function mpi<const Template extends string>(
	template: Template,
	options: MpiOptions = {},
): RemoteFunction<ShellArguments<Template>, ShellResult> {
	const { nodes = 1, ranksPerNode = 1, expectedMs, ...others } = options;
	const { walltimeMs } = others;
	return {
		...shell(template, others),
		resources: toSpecification({
			resources: { nodes, ranksPerNode },
			...(walltimeMs === undefined ? {} : { walltimeMs }),
			...(expectedMs === undefined ? {} : { expectedMs }),
		}),
	};
}
