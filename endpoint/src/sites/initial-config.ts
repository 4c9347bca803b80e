/** Writes the `config.yaml` of a new endpoint. One that is there already is a person's, and stays. */
import { closeSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { SchedulerName } from "@errand/proto";
import { defaultConfigText } from "../config/default-config.ts";
import { type Answers, configText, plainConfigText } from "./config-text.ts";
import { nothingKnown } from "./inquiry.ts";
import { managerFiles } from "./manager-files.ts";
import { schedulerSite } from "./scheduler-site.ts";
import { readSite } from "./site-files.ts";

export interface InitRequest {
	readonly name: string;
	/** A site's name, or the path of its description. */
	readonly site: string | undefined;
	/** Without a site; `local` when neither is said. */
	readonly scheduler: SchedulerName | undefined;
	readonly answers: Answers;
	/** For others too: a template of it instead. */
	readonly multiUser?: boolean;
}

/** False: there was one. Throws an AnswerFault; then nothing was written. */
export function writeInitialConfig(directory: string, request: InitRequest, sites: string): boolean {
	const text = initialConfigText(directory, request, sites);
	const files = request.multiUser ? managerFiles(text, request.name) : { "config.yaml": text };
	mkdirSync(directory, { recursive: true, mode: 0o700 });
	// The one by which it is known that there is a configuration comes last.
	const [own, ...others] = Object.entries(files);
	const written = [...others, own as [string, string]].map(([name, content]) =>
		writeNew(join(directory, name), content),
	);
	return written.at(-1) === true;
}

/** False: there was one, which is somebody's. */
function writeNew(path: string, text: string): boolean {
	try {
		const file = openSync(path, "wx", 0o600);
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
