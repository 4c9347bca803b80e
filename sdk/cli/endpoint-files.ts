/** The directory of an endpoint on this machine and the files that the command and the daemon meet in. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { Complaint } from "./complaint.ts";
import { endpointDirectory, type Home, writePrivateFile } from "./home.ts";
import { type ProcessRecord, readProcessRecord } from "./process-record.ts";

export interface EndpointFiles {
	readonly name: string;
	readonly directory: string;
	readonly config: string;
	readonly credentials: string;
	/** Who runs it, as the command that started it wrote down. */
	readonly process: string;
	readonly log: string;
}

export function endpointFiles(home: Home, name: string): EndpointFiles {
	const directory = endpointDirectory(home, name);
	return {
		name,
		directory,
		config: join(directory, "config.yaml"),
		credentials: join(directory, "credentials.json"),
		process: join(directory, "process.json"),
		log: join(directory, "logs", "endpoint.log"),
	};
}

/** A Complaint when this machine has no endpoint of that name. */
export function configuredEndpoint(home: Home, name: string): EndpointFiles {
	const files = endpointFiles(home, name);
	if (existsSync(files.credentials)) return files;
	const known = localEndpoints(home);
	throw new Complaint(
		"notFound",
		`no endpoint "${name}" is configured on this machine${known.length ? ` (there are: ${known.join(", ")})` : ""}`,
		{
			next: `errand endpoint configure ${name}`,
		},
	);
}

/** Names, sorted. */
export function localEndpoints(home: Home): string[] {
	if (!existsSync(home.endpoints)) return [];
	return readdirSync(home.endpoints, { withFileTypes: true })
		.filter((entry) => entry.isDirectory() && existsSync(join(home.endpoints, entry.name, "credentials.json")))
		.map((entry) => entry.name)
		.sort();
}

const credentials = z.object({
	cloud_url: z.url(),
	endpoint_id: z.uuid(),
	client_id: z.uuid(),
	client_secret: z.string(),
	token_endpoint: z.url(),
});
export type EndpointCredentials = z.infer<typeof credentials>;

/** Inverse of {@link readCredentials}. */
export function writeCredentials(files: EndpointFiles, value: EndpointCredentials): void {
	writePrivateFile(files.credentials, `${JSON.stringify(value, null, 2)}\n`);
}

/** Undefined when there is no file; a Complaint when it makes no sense. */
export function readCredentials(files: EndpointFiles): EndpointCredentials | undefined {
	if (!existsSync(files.credentials)) return undefined;
	try {
		return credentials.parse(JSON.parse(readFileSync(files.credentials, "utf8")));
	} catch (cause) {
		throw new Complaint("failed", `${files.credentials} is damaged`, {
			next: `errand endpoint configure ${files.name} --new-key`,
			cause,
		});
	}
}

export function runningEndpoint(files: EndpointFiles): ProcessRecord | undefined {
	return readProcessRecord(files.process);
}
