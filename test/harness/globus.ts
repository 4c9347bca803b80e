/** How Globus Compute's own packages, unmodified, are pointed at a cloud of the test: environment variables, nothing else. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { computeScope } from "@errand/proto/rest";
import { Client } from "@errand/sdk";
import type { TestCloud } from "./cloud.ts";

/** Exact versions, as pip takes them: the newest of each, and the SDK of a year before. */
export const globusPackages = {
	sdk: "globus-compute-sdk==4.19.0",
	earlierSdk: "globus-compute-sdk==4.2.0",
	endpoint: "globus-compute-endpoint==4.19.0",
} as const;

/** The only address outside its maker's cloud that the SDK can be told; it is used on every machine, so tests share it not. */
const wiredAddress = "localhost:5000";

export interface GlobusSettings {
	/** For a child process: nothing of the test's own environment but PATH. */
	readonly environment: NodeJS.ProcessEnv;
	/** Of the service account: what it registers, the packages find as their own. */
	readonly client: Client;
	/** Where tokens and endpoint directories are; removed by `close`. */
	readonly directory: string;
	close(): Promise<void>;
}

/** A new service account of whose token this is, and the settings with which the packages log in as it and reach this cloud. */
export async function globusSettings(cloud: Pick<TestCloud, "url">, token: string): Promise<GlobusSettings> {
	const made = await fetch(`${cloud.url}/v1/clients`, {
		method: "POST",
		headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
		body: JSON.stringify({ name: "peers" }),
	});
	if (!made.ok) throw new Error(`no service client was made: ${await made.text()}`);
	const { client_id, client_secret } = (await made.json()) as { client_id: string; client_secret: string };
	const client = new Client({ cloudUrl: cloud.url, token: await serviceToken(cloud, client_id, client_secret) });
	const directory = await mkdtemp(join(tmpdir(), "errand-globus-"));
	const detour = await openDetour(cloud.url);
	return {
		client,
		directory,
		environment: {
			PATH: process.env.PATH,
			HOME: directory,
			GLOBUS_SDK_ENVIRONMENT: "local",
			GLOBUS_SDK_SERVICE_URL_AUTH: `${cloud.url}/`,
			GLOBUS_COMPUTE_USER_DIR: join(directory, "globus_compute"),
			GLOBUS_COMPUTE_CLIENT_ID: client_id,
			GLOBUS_COMPUTE_CLIENT_SECRET: client_secret,
			http_proxy: detour.url,
			no_proxy: "127.0.0.1",
		},
		async close() {
			await detour.close();
			await rm(directory, { recursive: true, force: true });
		},
	};
}

async function serviceToken(cloud: Pick<TestCloud, "url">, id: string, secret: string): Promise<string> {
	const reply = await fetch(`${cloud.url}/v2/oauth2/token`, {
		method: "POST",
		headers: { authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString("base64")}` },
		body: new URLSearchParams({ grant_type: "client_credentials", scope: computeScope }),
	});
	if (!reply.ok) throw new Error(`the service account got no token: ${await reply.text()}`);
	return ((await reply.json()) as { access_token: string }).access_token;
}

/**
 * An HTTP proxy that takes what is meant for the one wired address to the test's cloud on its random port. Elsewhere
 * somebody forwards port 5000; here several clouds run at a time.
 */
async function openDetour(cloudUrl: string): Promise<{ url: string; close: () => Promise<void> }> {
	const cloud = new URL(cloudUrl);
	const server = createServer((incoming, outgoing) => {
		const target = new URL(incoming.url ?? "", "http://none");
		if (target.host !== wiredAddress) {
			outgoing.writeHead(502).end(`this proxy leads to ${wiredAddress} only`);
			return;
		}
		const onward = request(
			{
				host: cloud.hostname,
				port: cloud.port,
				method: incoming.method,
				path: target.pathname + target.search,
				headers: incoming.headers,
			},
			(reply) => {
				outgoing.writeHead(reply.statusCode ?? 502, reply.headers);
				reply.pipe(outgoing);
			},
		);
		onward.on("error", () => outgoing.destroy());
		incoming.pipe(onward);
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	return {
		url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
		close: () =>
			new Promise((resolve) => {
				server.close(() => resolve());
				server.closeAllConnections();
			}),
	};
}

export interface ProgramEnd {
	/** What it printed as `name JSON`, one a line. */
	readonly said: Readonly<Record<string, unknown>>;
	readonly stderr: string;
}

/** Runs a Python program to its end. Rejects with everything it printed when that is not 0. */
export function runProgram(
	python: string,
	program: string,
	words: readonly string[],
	environment: NodeJS.ProcessEnv,
	timeoutMs = 120_000,
): Promise<ProgramEnd> {
	return new Promise((resolve, reject) => {
		execFile(
			python,
			[program, ...words],
			{ env: environment, timeout: timeoutMs, maxBuffer: 64 * 1024 * 1024 },
			(error, stdout, stderr) => {
				if (error) {
					reject(new Error(`${program} failed (${error.code ?? error.signal}):\n${stdout}\n${stderr}`));
					return;
				}
				const said: Record<string, unknown> = {};
				for (const line of stdout.split("\n")) {
					const space = line.indexOf(" ");
					if (space > 0) said[line.slice(0, space)] = JSON.parse(line.slice(space + 1));
				}
				resolve({ said, stderr });
			},
		);
	});
}
