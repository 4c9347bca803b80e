/** Completion scripts for three shells, from the table of verbs. They ask nobody: names come from the disk. */

import type { Groups } from "./program.ts";
import type { ArgumentRow, CompletionKind, OptionRow, Verb } from "./verb.ts";

export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

const everyVerb: readonly OptionRow[] = [
	{ flags: "--json", summary: "print JSON" },
	{ flags: "-q, --quiet", summary: "print ids only" },
	{ flags: "--debug", summary: "show stack traces of errors" },
	{ flags: "-h, --help", summary: "show help" },
];

const flagsOf = (row: OptionRow): string[] => row.flags.split(/[ ,]+/).filter((word) => word.startsWith("-"));
const takesValue = (row: OptionRow): boolean => row.flags.includes("<");
const optionsOf = (verb: Verb): readonly OptionRow[] => [...(verb.options ?? []), ...everyVerb];
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** Words that may stand first, and for each group the words that may follow. */
function wordsOf(verbs: readonly Verb[]): { first: string[]; second: Map<string, string[]> } {
	const first = new Set<string>();
	const second = new Map<string, string[]>();
	for (const { name } of verbs) {
		const path = name.split(" ");
		path.forEach((word, at) => {
			if (at === 0) first.add(word);
			else {
				const parent = path.slice(0, at).join(" ");
				const known = second.get(parent) ?? [];
				if (!known.includes(word)) second.set(parent, [...known, word]);
			}
		});
	}
	return { first: [...first], second };
}

/** The kind of the first argument decides: all arguments of a verb are of one kind. */
const kindOf = (verb: Verb): CompletionKind | undefined =>
	verb.arguments?.find((argument: ArgumentRow) => argument.completes !== undefined)?.completes;

const bashKinds: Record<CompletionKind, string> = {
	endpoint: "$(_errand_endpoints)",
	"local-endpoint": "$(_errand_endpoints)",
	task: "last",
	function: "",
	file: "",
};

function bash(verbs: readonly Verb[]): string {
	const { first, second } = wordsOf(verbs);
	const valueCases = new Map<string, string>();
	for (const verb of verbs)
		for (const row of verb.options ?? []) {
			const words = row.choices?.join(" ") ?? (row.completes ? bashKinds[row.completes] : undefined);
			if (words) for (const flag of flagsOf(row)) valueCases.set(`${verb.name}:${flag}`, words);
		}
	const lines = [
		"# errand completion for bash: put  source <(errand completion bash)  into ~/.bashrc",
		"_errand_endpoints() {",
		`	local directory="\${ERRAND_HOME:-$HOME/.errand}/endpoints"`,
		'	[ -d "$directory" ] && ls -1 "$directory" 2>/dev/null',
		"}",
		"_errand() {",
		`	local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" path="" word words=""`,
		"	COMPREPLY=()",
		`	for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do`,
		'		case "$word" in -*) continue ;; esac',
		`		case "\${path:+$path }$word" in`,
		`			${[...new Set(verbs.flatMap(({ name }) => prefixesOf(name)))].map(quoted).join("|")}) path="\${path:+$path }$word" ;;`,
		"		esac",
		"	done",
		'	case "$path:$previous" in',
		...[...valueCases].map(
			([key, words]) => `		${quoted(key)}) COMPREPLY=($(compgen -W "${words}" -- "$current")); return ;;`,
		),
		"	esac",
		'	case "$path" in',
		`		'') words="${first.join(" ")} --help --version" ;;`,
		...[...second].map(([parent, words]) => `		${quoted(parent)}) words="${words.join(" ")}" ;;`),
		...verbs.map((verb) => {
			const flags = optionsOf(verb)
				.flatMap(flagsOf)
				.filter((flag) => flag.startsWith("--"))
				.join(" ");
			const kind = kindOf(verb);
			const own = verb.name === "completion" ? shells.join(" ") : kind ? bashKinds[kind] : "";
			return `		${quoted(verb.name)}) words="${[own, flags].filter(Boolean).join(" ")}" ;;`;
		}),
		"	esac",
		'	COMPREPLY=($(compgen -W "$words" -- "$current"))',
		"}",
		"complete -o default -F _errand errand",
	];
	return `${lines.join("\n")}\n`;
}

function prefixesOf(name: string): string[] {
	const path = name.split(" ");
	return path.map((_, at) => path.slice(0, at + 1).join(" "));
}

/** zsh runs the bash script through its own compatibility layer: one script to keep right. */
function zsh(verbs: readonly Verb[]): string {
	return [
		"# errand completion for zsh: put  source <(errand completion zsh)  into ~/.zshrc",
		"autoload -U +X compinit && compinit",
		"autoload -U +X bashcompinit && bashcompinit",
		bash(verbs).split("\n").slice(1).join("\n"),
	].join("\n");
}

const fishKinds: Record<CompletionKind, string | undefined> = {
	endpoint: "(__errand_endpoints)",
	"local-endpoint": "(__errand_endpoints)",
	task: "last",
	function: undefined,
	file: undefined,
};

function fish(verbs: readonly Verb[], groups: Groups): string {
	const { first, second } = wordsOf(verbs);
	const says = (path: string): string => verbs.find(({ name }) => name === path)?.summary ?? groups[path] ?? "";
	const at = (path: string): string => `-n ${quoted(`__errand_at ${path}`)}`;
	const lines = [
		"# errand completion for fish: errand completion fish > ~/.config/fish/completions/errand.fish",
		"function __errand_endpoints",
		'	set -l home "$ERRAND_HOME"',
		'	test -n "$home"; or set home "$HOME/.errand"',
		'	test -d "$home/endpoints"; and ls -1 "$home/endpoints" 2>/dev/null',
		"end",
		"function __errand_at",
		"	set -l words (commandline -opc | string match -v -- '-*')",
		"	test (count $words) -gt (count $argv); or return 1",
		'	test "$words[2..(math (count $argv) + 1)]" = "$argv"',
		"end",
		...first.map((word) => `complete -c errand -n __fish_use_subcommand -a ${word} -d ${quoted(says(word))}`),
		...[...second].flatMap(([parent, words]) =>
			words.map((word) => `complete -c errand -f ${at(parent)} -a ${word} -d ${quoted(says(`${parent} ${word}`))}`),
		),
		...verbs.flatMap((verb) => {
			const kind = kindOf(verb);
			const own = verb.name === "completion" ? shells.join(" ") : kind && fishKinds[kind];
			return [
				...(own ? [`complete -c errand -f ${at(verb.name)} -a ${quoted(own)}`] : []),
				...optionsOf(verb).map((row) => {
					const flags = flagsOf(row).map((flag) =>
						flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`,
					);
					const words = row.choices?.join(" ") ?? (row.completes && fishKinds[row.completes]);
					const value = takesValue(row) ? ` -r${words ? ` -f -a ${quoted(words)}` : ""}` : "";
					return `complete -c errand ${at(verb.name)} ${flags.join(" ")}${value} -d ${quoted(row.summary)}`;
				}),
			];
		}),
	];
	return `${lines.join("\n")}\n`;
}

const writers: Record<Shell, (verbs: readonly Verb[], groups: Groups) => string> = { bash, zsh, fish };

export function completionScript(shell: Shell, verbs: readonly Verb[], groups: Groups): string {
	return writers[shell](verbs, groups);
}
