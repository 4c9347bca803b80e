/** `credentials.json` of an endpoint's directory: its own key, written when it is configured. Never logged. */
import { readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";

const schema = z.object({
	cloud_url: z.url(),
	endpoint_id: z.uuid(),
	client_id: z.uuid(),
	client_secret: z.string().min(1),
	token_endpoint: z.url(),
});

export interface Credentials {
	/** Without a slash at the end. */
	readonly cloudUrl: string;
	readonly endpointId: string;
	readonly clientId: string;
	readonly clientSecret: string;
	readonly tokenEndpoint: string;
}

/** Inverse of {@link readCredentials}: for a directory that the command line has not made. */
export function writeCredentials(directory: string, credentials: Credentials): void {
	const { cloudUrl, endpointId, clientId, clientSecret, tokenEndpoint } = credentials;
	const text = JSON.stringify({
		cloud_url: cloudUrl,
		endpoint_id: endpointId,
		client_id: clientId,
		client_secret: clientSecret,
		token_endpoint: tokenEndpoint,
	});
	const path = join(directory, "credentials.json");
	writeFileSync(`${path}.new`, `${text}\n`, { mode: 0o600 });
	renameSync(`${path}.new`, path);
}

/** Throws an Error whose message says what to do. */
export function readCredentials(directory: string): Credentials {
	const path = join(directory, "credentials.json");
	const again = "run `errand endpoint configure` for this endpoint again";
	let text: string;
	try {
		text = readFileSync(path, "utf8");
	} catch (cause) {
		throw new Error(`${path} cannot be read (${(cause as Error).message}): ${again}`, { cause });
	}
	if ((statSync(path).mode & 0o077) !== 0)
		throw new Error(
			`${path} can be read by others: \`chmod 600 ${path}\`, and make a new key if others use this machine`,
		);
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch (cause) {
		throw new Error(`${path} is damaged: ${again}`, { cause });
	}
	const read = schema.safeParse(value);
	if (!read.success) throw new Error(`${path} is damaged (${z.prettifyError(read.error)}): ${again}`);
	return {
		cloudUrl: read.data.cloud_url.replace(/\/+$/, ""),
		endpointId: read.data.endpoint_id,
		clientId: read.data.client_id,
		clientSecret: read.data.client_secret,
		tokenEndpoint: read.data.token_endpoint,
	};
}
