/** What the endpoint's own program knows of this machine before an endpoint is configured, and what a person adds to it. */
import * as z from "zod";
import { findProgram, runProgram } from "./child-program.ts";
import { Complaint } from "./complaint.ts";
import type { Context } from "./context.ts";

const question = z.object({
	setting: z.string(),
	question: z.string(),
	value: z.string().nullable(),
	choices: z.array(z.string()),
	required: z.boolean(),
});

const survey = z.object({
	site: z.string().nullable(),
	title: z.string(),
	scheduler: z.string(),
	found: z.array(z.string()),
	notes: z.array(z.string()),
	questions: z.array(question),
});
export type Survey = z.infer<typeof survey>;

/** By setting, as typed. */
export type Answers = Readonly<Record<string, string>>;

export interface SurveyRequest {
	name: string;
	site?: string | undefined;
	scheduler?: string | undefined;
	detect: boolean;
}

/** A Complaint when there is no such site. */
export function surveyEndpoint(context: Context, request: SurveyRequest): Survey {
	const { name, site, scheduler, detect } = request;
	const text = runProgram({
		name: "errand-endpoint survey",
		program: findProgram("endpoint", context.environment),
		arguments: [
			"survey",
			name,
			...option("--site", site),
			...option("--scheduler", scheduler),
			...(detect ? ["--detect"] : []),
		],
		environment: context.environment,
	});
	return survey.parse(JSON.parse(text));
}

const option = (flag: string, value: string | undefined): string[] => (value === undefined ? [] : [flag, value]);

/** Queue and partition are two words for one thing. */
const twins: Readonly<Record<string, string>> = { queue: "partition", partition: "queue" };

/** What was said on the command line, and then what is still to be said: by the person, or as found. */
export async function completeAnswers(context: Context, found: Survey, said: Answers): Promise<Answers> {
	const answers: Record<string, string> = { ...said };
	const open = found.questions.filter(({ setting }) => !(setting in said) && !((twins[setting] ?? "") in said));
	if (!context.attended) {
		const missing = open.filter(({ required }) => required);
		if (missing.length > 0)
			throw new Complaint(
				"usage",
				`${found.title} needs to know: ${missing.map(({ setting, question, choices }) => `${setting} (${[question, ...choices.slice(0, 12)].join("; ")})`).join(", ")}`,
				{ next: `say it with ${missing.map(({ setting }) => flagOf(setting)).join(" ")}` },
			);
		for (const { setting, value } of open) if (value !== null) answers[setting] = value;
		return answers;
	}
	if (open.length > 0) context.note("Enter takes what is in brackets.");
	for (const { setting, question, value, choices, required } of open) {
		const others = choices.filter((choice) => choice !== value);
		const hint = others.length > 0 ? ` (or ${others.slice(0, 12).join(", ")}${others.length > 12 ? ", …" : ""})` : "";
		let answer: string;
		do
			answer = (
				await context.ask(`${question}${hint}${value === null ? (required ? "" : " [none]") : ` [${value}]`}: `)
			).trim();
		while (answer === "" && required);
		if (answer !== "") answers[setting] = answer;
		else if (value !== null) answers[setting] = value;
	}
	return answers;
}

const ownFlags: ReadonlySet<string> = new Set(["account", "queue", "walltime"]);

function flagOf(setting: string): string {
	if (setting === "partition") return "--queue …";
	return ownFlags.has(setting) ? `--${setting} …` : `--set ${setting}=…`;
}

/** Writes config.yaml, and for several users what belongs to it; a Complaint when an answer makes no sense, and then nothing was written. */
export function initialiseEndpoint(
	context: Context,
	directory: string,
	{
		name,
		found,
		answers,
		multiUser,
	}: { name: string; found: Pick<Survey, "site" | "scheduler">; answers: Answers; multiUser: boolean },
): void {
	runProgram({
		name: "errand-endpoint init",
		program: findProgram("endpoint", context.environment),
		arguments: [
			"init",
			directory,
			"--name",
			name,
			...(found.site === null ? option("--scheduler", found.scheduler) : option("--site", found.site)),
			...Object.entries(answers).flatMap(([setting, value]) => ["--set", `${setting}=${value}`]),
			...(multiUser ? ["--multi-user"] : []),
		],
		environment: context.environment,
	});
}
