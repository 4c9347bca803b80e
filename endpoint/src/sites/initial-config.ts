/** Writes the `config.yaml` of a new endpoint. One that is there already is a person's, and stays. */
import { closeSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { SchedulerName } from "@errand/proto";
import { defaultConfigText } from "../config/default-config.ts";
import { type Answers, configText, plainConfigText } from "./config-text.ts";
import { nothingKnown } from "./inquiry.ts";
import { schedulerSite } from "./scheduler-site.ts";
import { readSite } from "./site-files.ts";

export interface InitRequest {
	readonly name: string;
	/** A site's name, or the path of its description. */
	readonly site: string | undefined;
	/** Without a site; `local` when neither is said. */
	readonly scheduler: SchedulerName | undefined;
	readonly answers: Answers;
}

/** False: there was one. Throws an AnswerFault; then nothing was written. */
export function writeInitialConfig(directory: string, request: InitRequest, sites: string): boolean {
	const text = initialConfigText(directory, request, sites);
	mkdirSync(directory, { recursive: true, mode: 0o700 });
	try {
		const file = openSync(join(directory, "config.yaml"), "wx", 0o600);
		writeFileSync(file, text);
		closeSync(file);
		return true;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
		throw error;
	}
}

function initialConfigText(directory: string, request: InitRequest, sites: string): string {
	const { name, site, scheduler = "local", answers } = request;
	if (site !== undefined) return configText(readSite(sites, site), answers, { name, directory });
	if (scheduler !== "local") return configText(schedulerSite(scheduler, nothingKnown), answers, { name, directory });
	if (Object.keys(answers).length === 0) return defaultConfigText(name);
	return `${defaultConfigText(name)}\n${plainConfigText(answers, directory)}`;
}
