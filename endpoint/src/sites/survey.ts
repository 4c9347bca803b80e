/** Before an endpoint is configured: what this machine is, and what only the person knows. */
import { hostname, networkInterfaces, userInfo } from "node:os";
import type { SchedulerName } from "@errand/proto";
import { SchedulerCommand } from "../scheduler/scheduler-command.ts";
import { silentLogger } from "../service/logger.ts";
import { presetValue } from "./config-text.ts";
import { type Ask, type ClusterFacts, inquiries, neverByItself, nothingKnown } from "./inquiry.ts";
import { schedulerSite } from "./scheduler-site.ts";
import { isHere, type Site, type SiteQuestion } from "./site.ts";
import { readSite, siteNames } from "./site-files.ts";

/** A login node that is asked politely is asked briefly. */
const askTimeoutMs = 10_000;

interface SurveyQuestion {
	readonly setting: string;
	readonly question: string;
	/** What it will be if nobody says otherwise. */
	readonly value: string | null;
	readonly choices: readonly string[];
	readonly required: boolean;
}

export interface Survey {
	/** To be handed to `init --site`; null: none fits. */
	readonly site: string | null;
	readonly title: string;
	readonly scheduler: SchedulerName;
	/** Sentences, for the person. */
	readonly found: readonly string[];
	readonly notes: readonly string[];
	readonly questions: readonly SurveyQuestion[];
}

export interface SurveyRequest {
	/** The endpoint's: a site's name selects it. */
	readonly name: string;
	readonly site?: string | undefined;
	readonly scheduler?: SchedulerName | undefined;
	/** Ask the schedulers of this machine, whatever the name is. */
	readonly detect: boolean;
}

interface Here {
	readonly hostname: string;
	readonly user: string;
	readonly environment: NodeJS.ProcessEnv;
	readonly ask: Ask;
}

export function thisMachine(environment: NodeJS.ProcessEnv): Here {
	const command = new SchedulerCommand({ timeoutMs: askTimeoutMs, log: silentLogger });
	return {
		hostname: hostname(),
		user: userInfo().username,
		environment,
		async ask(...argv) {
			const answer = await command.run(argv).catch(() => undefined);
			return answer?.code === 0 ? `${answer.stdout}${answer.stdout.trim() === "" ? answer.stderr : ""}` : undefined;
		},
	};
}

/** Throws an AnswerFault when there is no such site. */
export async function survey(request: SurveyRequest, folder: string, here: Here): Promise<Survey> {
	const { name, detect } = request;
	const known = request.site ?? (detect || request.scheduler !== undefined ? undefined : siteOf(name, folder, here));
	if (known !== undefined) return await ofSite(readSite(folder, known), known, here);
	if (request.scheduler === undefined && name === "local" && !detect) return ofThisMachine([]);
	return await ofScheduler(request.scheduler, here);
}

function siteOf(name: string, folder: string, here: Here): string | undefined {
	const names = siteNames(folder);
	if (names.includes(name)) return name;
	return name === "local" ? undefined : names.find((site) => isHere(readSite(folder, site), here));
}

async function ofSite(site: Site, selector: string, here: Here): Promise<Survey> {
	const scheduler = (presetValue(site, "scheduler") ?? "local") as SchedulerName;
	const facts = (await inquire(scheduler, here)) ?? nothingKnown;
	const found = [`The preset for ${site.title} (${site.facility}).`];
	if (site.interface !== undefined && networkInterfaces()[site.interface] === undefined)
		found.push(
			`This machine has no network interface ${site.interface}, which nodes of ${site.title} reach login nodes by: run the endpoint on a login node, or say link_addresses.`,
		);
	return {
		site: selector,
		title: site.title,
		scheduler,
		found,
		notes: site.notes,
		questions: [
			...site.ask,
			...always.filter((asked) => !site.ask.some(({ setting }) => setting === asked.setting)),
		].map((asked) => questionOf(site, asked, facts)),
	};
}

/** What every endpoint on a batch system may want to say. */
const always: readonly SiteQuestion[] = [
	{ setting: "max_blocks", question: "How many blocks at most", choices: [], optional: true },
	{
		setting: "worker_init",
		question: "Shell line that makes your software available, like: module load python",
		choices: [],
		optional: true,
	},
];

function questionOf(site: Site, asked: SiteQuestion, facts: ClusterFacts): SurveyQuestion {
	const { setting, question, optional } = asked;
	const told = toldBy[setting]?.(facts) ?? [];
	const value = presetValue(site, setting) ?? (told.length === 1 ? (told[0] as string) : null);
	return {
		setting,
		question,
		value: value === null ? null : value.trimEnd(),
		choices: told.length > 0 ? told : asked.choices,
		required: !optional && value === null,
	};
}

const toldBy: Readonly<Record<string, (facts: ClusterFacts) => readonly string[]>> = {
	account: (facts) => facts.accounts,
	queue: (facts) => facts.queues,
	partition: (facts) => facts.queues,
	parallel_environment: (facts) => facts.parallelEnvironments,
};

async function inquire(scheduler: SchedulerName, here: Here): Promise<ClusterFacts | undefined> {
	const [, inquiry] = inquiries.find(([name]) => name === scheduler) ?? [];
	return await inquiry?.(here.ask, here.user);
}

function ofThisMachine(found: readonly string[]): Survey {
	return { site: null, title: "this machine", scheduler: "local", found, notes: [], questions: [] };
}

async function ofScheduler(asked: SchedulerName | undefined, here: Here): Promise<Survey> {
	if (asked === "local") return ofThisMachine([]);
	for (const [scheduler, inquiry] of inquiries) {
		if (asked === undefined ? neverByItself.has(scheduler) : scheduler !== asked) continue;
		const facts = await inquiry(here.ask, here.user);
		if (facts === undefined) continue;
		const site = schedulerSite(scheduler, facts);
		return { ...surveyOf(site, scheduler, facts), found: [`${scheduler} answers on this machine${summaryOf(facts)}.`] };
	}
	if (asked === undefined)
		return ofThisMachine(["No batch scheduler answers on this machine: blocks are processes of its own."]);
	const silent = asked === "ssh" ? [] : [`${asked} does not answer on this machine; nothing could be looked up.`];
	return { ...surveyOf(schedulerSite(asked, nothingKnown), asked, nothingKnown), found: silent };
}

function surveyOf(site: Site, scheduler: SchedulerName, facts: ClusterFacts): Survey {
	return {
		site: null,
		title: site.title,
		scheduler,
		found: [],
		notes: site.notes,
		questions: [...site.ask, ...always].map((question) => questionOf(site, question, facts)),
	};
}

function summaryOf({ queues, node }: ClusterFacts): string {
	const parts = [
		...(queues.length > 0 ? [`queues ${queues.slice(0, 8).join(", ")}${queues.length > 8 ? ", …" : ""}`] : []),
		...(node.cores ? [`${node.cores} cores`] : []),
		...(node.memoryBytes ? [`${Math.floor(node.memoryBytes / 2 ** 30)} GiB`] : []),
		...(node.gpus ? [`${node.gpus} GPUs a node`] : []),
	];
	return parts.length > 0 ? `: ${parts.join(", ")}` : "";
}
