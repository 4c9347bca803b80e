/** Where the descriptions of sites are: beside a bundled program, in `deploy/sites` of a clone, or where a person says. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, extname, isAbsolute, join } from "node:path";
import { AnswerFault, parseSite, type Site } from "./site.ts";

/** The folder that belongs to this main file. `ERRAND_SITES` names another, for a facility that has its own. */
export function sitesFolder(mainFile: string, environment: NodeJS.ProcessEnv): string {
	const beside = join(dirname(mainFile), "sites");
	return (
		environment.ERRAND_SITES ?? (mainFile.endsWith(".ts") ? join(dirname(mainFile), "../../deploy/sites") : beside)
	);
}

/** Sorted. */
export function siteNames(folder: string): string[] {
	if (!existsSync(folder)) return [];
	return readdirSync(folder)
		.filter((file) => extname(file) === ".yaml")
		.map((file) => basename(file, ".yaml"))
		.sort();
}

/** By its name, or by the path of a file of one's own. Throws an {@link AnswerFault} when there is none. */
export function readSite(folder: string, name: string): Site {
	const own = isAbsolute(name) || name.includes("/");
	if (!own && !siteNames(folder).includes(name))
		throw new AnswerFault(
			`there is no site "${name}"; there are ${siteNames(folder).join(", ") || "none"}. The path of a file of your own is taken, too`,
		);
	const file = own ? name : join(folder, `${name}.yaml`);
	let text: string;
	try {
		text = readFileSync(file, "utf8");
	} catch (cause) {
		throw new AnswerFault(`the description of the site cannot be read: ${(cause as Error).message}`, { cause });
	}
	return parseSite(basename(file, extname(file)), text, file);
}
