/** What a verb is: a row that help, completion, the output modes and the tests all read. */
import type * as z from "zod";
import { Complaint } from "./complaint.ts";
import type { Context } from "./context.ts";
import type { ExitName } from "./exit-code.ts";
import type { Screen } from "./screen.ts";

export interface ArgumentRow {
	name: string;
	summary: string;
	/** `many`: one or more; `any`: none or more. */
	takes?: "one" | "optional" | "many" | "any";
	/** What the shell may complete it with. */
	completes?: CompletionKind;
}

export type CompletionKind = "endpoint" | "local-endpoint" | "task" | "function" | "file";

export interface OptionRow {
	/** As commander reads them: `-t, --timeout <duration>`. */
	flags: string;
	summary: string;
	completes?: CompletionKind;
	/** May be said more than once; the input is a list. */
	repeats?: boolean;
	/** The words it may have, offered by completion. */
	choices?: readonly string[];
}

interface VerbRow<Input, Value> {
	/** The words typed after `errand`: `task list`. */
	name: string;
	summary: string;
	arguments?: readonly ArgumentRow[];
	options?: readonly OptionRow[];
	/** Whole commands, each with what it does. At least one. */
	examples: readonly (readonly [command: string, says: string])[];
	/** Checks and converts what was typed: options by their long name in camel case, arguments by name, `rest` = what follows `--`. */
	input: z.ZodType<Input>;
	/** One value of `--json`. */
	output: z.ZodType<Value>;
	/** `document`: --json prints one value; `lines`: one value a line, as they come. */
	json: "document" | "lines";
	/** What follows `--` belongs to the verb. */
	takesRest?: boolean;
	/** Ctrl-C is how a person ends it: the exit status is then 0. */
	endsOnInterrupt?: boolean;
	/** For a person. Called once for each value. */
	show: (value: Value, screen: Screen) => void;
	/** For `--quiet`: the ids (or names) in a value, one a line. */
	ids: (value: Value) => readonly string[];
	run: (context: Context, input: NoInfer<Input>) => AsyncIterable<NoInfer<Value>>;
	/** How a value ends the command; the last one counts. A number is a task's own exit status. */
	exit?: (value: Value) => ExitName | number | undefined;
}

/** A verb whose input and value types are sealed: a table holds verbs of all kinds. */
export interface Verb extends Omit<VerbRow<unknown, unknown>, "input" | "show" | "ids" | "run" | "exit"> {
	/** Checks what was typed (a Complaint when it makes no sense), then yields values that are ready to be printed. */
	run: (context: Context, typed: Record<string, unknown>) => AsyncIterable<Printable>;
}

interface Printable {
	value: unknown;
	show: (screen: Screen) => void;
	ids: readonly string[];
	exit: ExitName | number | undefined;
}

export function verb<Input, Value>(row: VerbRow<Input, Value>): Verb {
	const { input, show, ids, run, exit, ...rest } = row;
	return {
		...rest,
		async *run(context, typed) {
			const parsed = input.safeParse(typed);
			if (!parsed.success) {
				const sentences = parsed.error.issues.map((issue) => `${issue.path.join(".") || row.name}: ${issue.message}`);
				throw new Complaint("usage", sentences.join("; "), { next: `errand ${row.name} --help` });
			}
			for await (const value of run(context, parsed.data))
				yield { value, show: (screen) => show(value, screen), ids: ids(value), exit: exit?.(value) };
		},
	};
}
