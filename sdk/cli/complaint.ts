import type { ExitName } from "./exit-code.ts";

/** What the person at the terminal is told when a verb cannot do its work: one sentence, and what to do next. */
export class Complaint extends Error {
	override readonly name = "Complaint";
	readonly exit: ExitName;
	/** A command or an action; undefined when the message says it already. */
	readonly next: string | undefined;

	constructor(exit: ExitName, message: string, options: { next?: string; cause?: unknown } = {}) {
		super(message, options.cause === undefined ? undefined : { cause: options.cause });
		this.exit = exit;
		this.next = options.next;
	}
}
