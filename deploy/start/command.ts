/** The main job types the same commands as a person would, in this process. */
import { ownSurroundings } from "../../sdk/cli/own-process.ts";
import { runCommandLine } from "../../sdk/cli/run-command-line.ts";

export interface CommandOptions {
	environment: NodeJS.ProcessEnv;
	signal: AbortSignal;
}

/** A command did not do its work; what it said is the message. */
export class CommandFailure extends Error {
	override readonly name = "CommandFailure";
	readonly status: number;

	constructor(words: readonly string[], status: number, said: string) {
		super(said.trim() || `errand ${words.join(" ")} ended with status ${status}`);
		this.status = status;
	}
}

/** The JSON values that `errand WORDS --json` prints. Throws a CommandFailure unless its status is among `accepts`. */
export async function errand(
	words: readonly string[],
	options: CommandOptions & { accepts?: readonly number[] },
): Promise<unknown[]> {
	let out = "";
	let err = "";
	const status = await runCommandLine(
		[...words, "--json"],
		ownSurroundings({
			environment: options.environment,
			signal: options.signal,
			out: { write: (text) => (out += text) },
			err: { write: (text) => (err += text) },
		}),
	);
	if (![0, ...(options.accepts ?? [])].includes(status)) throw new CommandFailure(words, status, messageOf(err));
	return out.startsWith("{\n")
		? [JSON.parse(out)]
		: out
				.split("\n")
				.filter(Boolean)
				.map((line) => JSON.parse(line) as unknown);
}

/** The sentence in the JSON error that a command writes, with what to do next. */
function messageOf(err: string): string {
	const last = err.trim().split("\n").at(-1) ?? "";
	try {
		const { error } = JSON.parse(last) as { error: { message: string; next?: string } };
		return error.next ? `${error.message}\n  next: ${error.next}` : error.message;
	} catch {
		return err;
	}
}
