import * as z from "zod";
import { completionScript, shells } from "../completion.ts";
import type { Groups } from "../program.ts";
import { type Verb, verb } from "../verb.ts";

/** Needs the whole table, itself included: it is asked for when the verb runs. */
export function completionVerb(table: () => { verbs: readonly Verb[]; groups: Groups }): Verb {
	return verb({
		name: "completion",
		summary: "Print a completion script for your shell",
		arguments: [{ name: "shell", summary: shells.join(", ") }],
		examples: [
			["source <(errand completion bash)", "for this shell; in ~/.bashrc for all"],
			["errand completion fish > ~/.config/fish/completions/errand.fish", "for fish"],
		],
		input: z.object({ shell: z.enum(shells, `one of ${shells.join(", ")}`) }),
		output: z.object({ shell: z.enum(shells), script: z.string() }),
		json: "document",
		show: ({ script }, screen) => screen.out(script),
		ids: ({ script }) => [script.trimEnd()],
		async *run(_context, { shell }) {
			const { verbs, groups } = table();
			yield { shell, script: completionScript(shell, verbs, groups) };
		},
	});
}
