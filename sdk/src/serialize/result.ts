/** One serialized buffer to the value that the future gives. */
import { type CommandResult, serializations, splitBuffer } from "@errand/proto";
import { parseStructured } from "@errand/proto/structured-value";
import { SerializationError } from "../errors.ts";

/** How a command ended. A return code other than 0 is a result, not an error. */
export interface ShellResult {
	/** The command as it ran, with its parameters in place. */
	cmd: string;
	/** The last lines of each; `snippetLines` says how many. */
	stdout: string;
	stderr: string;
	/** 124: the walltime was over. */
	returncode: number;
	exceptionName: string | null;
}

/** Throws a SerializationError for a serialization that is not for JavaScript, or text that is not what it says. */
export function readResult(buffer: string): unknown {
	try {
		const { id, content } = splitBuffer(buffer);
		const read = readers[id];
		if (read !== undefined) return read(content);
		throw new SerializationError(
			`the result is serialized as "${id}", which JavaScript cannot read: let the function return JSON values, or read it with Python`,
		);
	} catch (cause) {
		if (cause instanceof SerializationError) throw cause;
		throw new SerializationError(`the result cannot be read: ${(cause as Error).message}`, "", { cause });
	}
}

const readers: Record<string, (content: string) => unknown> = {
	[serializations.json]: (content) => JSON.parse(content),
	[serializations.structured]: parseStructured,
};

const commandKeys = "cmd,exception_name,returncode,stderr,stdout";

/** Whether a value is what a command's worker returns: for a reloaded task, whose function is not known here. */
export function isCommandResult(value: unknown): value is CommandResult {
	return typeof value === "object" && value !== null && Object.keys(value).sort().join() === commandKeys;
}

export function toShellResult(result: CommandResult): ShellResult {
	const { exception_name, ...same } = result;
	return { ...same, exceptionName: exception_name };
}
