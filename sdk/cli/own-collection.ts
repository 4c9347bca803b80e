/** A directory of this computer as a collection for one transfer: an agent of our own, with no port, as long as it takes. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Client } from "../src/index.ts";
import { findProgram } from "./child-program.ts";
import { Complaint } from "./complaint.ts";
import type { Context } from "./context.ts";
import { makePrivateDirectory } from "./home.ts";

export const ownCollection = "here";

/** The agent gets a fresh token this often. */
const renewMs = 60_000;
const startTimeoutMs = 20_000;
const stopGraceMs = 5_000;

export interface OwnCollection {
	/** In place of an endpoint's id. */
	readonly agentId: string;
	/** Rejects when the agent ends by itself. */
	readonly ended: Promise<never>;
	close(): Promise<void>;
}

/** Resolves when the cloud knows it. */
export async function openOwnCollection(
	context: Context,
	client: Client,
	collection: { path: string; readOnly: boolean },
): Promise<OwnCollection> {
	makePrivateDirectory(context.home.directory);
	const directory = mkdtempSync(join(context.home.directory, "agent-"));
	const agentId = globalThis.crypto.randomUUID();
	const { ERRAND_TOKEN: _, ...environment } = context.environment;
	const program = findProgram("transfer", context.environment);
	const child = spawn(process.execPath, [program], {
		env: environment,
		stdio: ["pipe", "pipe", "pipe"],
		detached: true,
	});
	let said = "";
	child.stderr.on("data", (text: Buffer) => {
		said = (said + text.toString()).slice(-2000);
	});
	child.stdin.on("error", () => undefined);
	const orders = {
		directory,
		cloud_url: client.cloudUrl,
		agent_id: agentId,
		access_token: await client.accessToken(),
		collections: [{ name: ownCollection, path: collection.path, read_only: collection.readOnly }],
	};
	child.stdin.write(`${JSON.stringify(orders)}\n`);
	const renewing = setInterval(() => {
		client
			.accessToken()
			.then((token) => child.stdin.write(`${JSON.stringify({ access_token: token })}\n`))
			.catch(() => undefined);
	}, renewMs);
	const exited = once(child, "close");
	const ended = exited.then(() => {
		throw new Complaint("failed", `what moves the files has ended: ${said.trim() || "it said nothing"}`);
	});
	ended.catch(() => undefined);
	const close = async (): Promise<void> => {
		clearInterval(renewing);
		child.stdin.end();
		const force = setTimeout(() => child.kill("SIGKILL"), stopGraceMs);
		await exited.catch(() => undefined);
		clearTimeout(force);
		rmSync(directory, { recursive: true, force: true });
	};
	try {
		const running = new Promise<void>((resolve) => {
			let seen = "";
			child.stdout.on("data", (text: Buffer) => {
				seen = (seen + text.toString()).slice(-4000);
				if (seen.includes("the agent is running")) resolve();
			});
		});
		const late = new Promise<never>((_resolve, reject) => {
			setTimeout(
				() => reject(new Complaint("unreachable", "what moves the files could not reach the cloud")),
				startTimeoutMs,
			).unref();
		});
		late.catch(() => undefined);
		await Promise.race([running, ended, late]);
		return { agentId, ended, close };
	} catch (error) {
		await close();
		throw error;
	}
}
