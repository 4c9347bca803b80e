/** One command from its words to its exit status. */
import { Complaint } from "./complaint.ts";
import type { Context } from "./context.ts";
import { type ExitName, exitCodes } from "./exit-code.ts";
import { complaintOf } from "./foreign-error.ts";
import { understand } from "./program.ts";
import { type Mode, Screen, type Sink } from "./screen.ts";
import { groups, verbs } from "./verbs.ts";

export interface Surroundings {
	out: Sink & { readonly columns?: number };
	err: Sink;
	environment: NodeJS.ProcessEnv;
	version: string;
	signal: AbortSignal;
	/** Called once the mode is known. */
	context: (mode: Mode, screen: Screen) => Context;
}

/** Resolves to the exit status. Everything that goes wrong has been said on stderr. */
export async function runCommandLine(argv: readonly string[], surroundings: Surroundings): Promise<number> {
	const { out, err, environment, signal } = surroundings;
	let mode: Mode = argv.includes("--json") ? "json" : "table";
	let debug = argv.includes("--debug");
	try {
		const invocation = understand(
			argv,
			{ verbs, groups, version: surroundings.version },
			{ out: (text) => out.write(text), columns: out.columns ?? 100 },
		);
		if (!invocation) return exitCodes.ok.status;
		({ mode, debug } = invocation);
		const screen = new Screen({ mode, out, err, environment });
		const context = surroundings.context(mode, screen);
		let exit: ExitName | number = "ok";
		for await (const printable of invocation.verb.run(context, invocation.typed)) {
			if (mode === "table") printable.show(screen);
			else if (mode === "quiet") for (const id of printable.ids) screen.line(id);
			else screen.line(JSON.stringify(printable.value, null, invocation.verb.json === "lines" ? undefined : 2));
			if (printable.exit !== undefined) exit = printable.exit;
		}
		if (signal.aborted && exit === "ok" && invocation.verb.endsOnInterrupt !== true)
			return exitCodes.interrupted.status;
		return typeof exit === "number" ? exit : exitCodes[exit].status;
	} catch (error) {
		if (signal.aborted && !(error instanceof Complaint)) return exitCodes.interrupted.status;
		const complaint = complaintOf(error);
		report(complaint, { mode, debug, err, error });
		return exitCodes[complaint.exit].status;
	}
}

/** A complaint as text, or, for programs, as one JSON line on stderr. */
function report(complaint: Complaint, to: { mode: Mode; debug: boolean; err: Sink; error: unknown }): void {
	if (to.mode === "json") {
		const { exit, message, next } = complaint;
		to.err.write(`${JSON.stringify({ error: { exit, status: exitCodes[exit].status, message, next } })}\n`);
	} else {
		to.err.write(`errand: ${complaint.message}\n`);
		if (complaint.next) to.err.write(`  next: ${complaint.next}\n`);
	}
	if (to.debug && to.error instanceof Error) to.err.write(`${stackOf(to.error)}\n`);
}

function stackOf(error: Error): string {
	const own = error.stack ?? error.message;
	return error.cause instanceof Error ? `${own}\ncaused by: ${stackOf(error.cause)}` : own;
}
