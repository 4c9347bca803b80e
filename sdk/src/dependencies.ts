/** Tasks whose arguments are futures: each waits for the values it is to be called with. */
import { DependencyError } from "./errors.ts";
import { TaskFuture } from "./future.ts";

/** Only whole arguments: what lies inside an array or an object is the function's own business. */
export function hasFutures(args: readonly unknown[]): boolean {
	return args.some((arg) => arg instanceof TaskFuture);
}

/** Those among the arguments that have neither a value nor an error yet. */
export function openFutures(args: readonly unknown[]): TaskFuture<unknown>[] {
	return args.filter((arg): arg is TaskFuture<unknown> => arg instanceof TaskFuture && !arg.settled);
}

/** The arguments with each future's value in its place. Rejects with a DependencyError as soon as one of them fails. */
export function awaitFutures(functionName: string, args: readonly unknown[]): Promise<unknown[]> {
	return Promise.all(
		args.map((arg, at) =>
			arg instanceof TaskFuture
				? arg.catch((cause: unknown) => Promise.reject(dependencyError(functionName, at, arg, cause)))
				: arg,
		),
	);
}

function dependencyError(
	functionName: string,
	at: number,
	{ functionName: name, taskId }: TaskFuture<unknown>,
	cause: unknown,
): DependencyError {
	const which = `${name ?? "a task"}${taskId === undefined ? "" : ` (task ${taskId})`}`;
	const why = cause instanceof Error ? cause.message : String(cause);
	return new DependencyError(
		`${functionName} was not run: its argument ${at + 1} is the result of ${which}, which came to nothing: ${why}`,
		{ taskId, functionName: name },
		cause,
	);
}
