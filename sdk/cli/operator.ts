/** What only the owner of the state directory may do: the operator token opens these doors. */
import { readFileSync } from "node:fs";
import { type Client, Client as ClientClass } from "../src/index.ts";
import { localCloudUrl } from "./cloud-process.ts";
import { Complaint } from "./complaint.ts";
import type { Context } from "./context.ts";
import type { Home } from "./home.ts";

/** Undefined when there is none, or it is not ours to read. */
function readOperatorToken(home: Home): string | undefined {
	try {
		return readFileSync(home.operatorToken, "utf8").trim();
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		if (code === "ENOENT" || code === "EACCES") return undefined;
		throw error;
	}
}

/** For `--approve-as`. A Complaint when it cannot be read. */
export function operatorTokenOf(home: Home): string {
	const token = readOperatorToken(home);
	if (token !== undefined) return token;
	throw new Complaint(
		"forbidden",
		`--approve-as needs the operator token of a cloud on this machine, and ${home.operatorToken} cannot be read`,
		{ next: "leave it out, and confirm in the browser" },
	);
}

/** A client with the operator's rights at this machine's cloud; without its token, the account that is logged in. */
export async function administrator(context: Context): Promise<Client> {
	const token = readOperatorToken(context.home);
	if (token === undefined) return await context.client();
	return new ClientClass({ cloudUrl: localCloudUrl(context.home, context.environment), token, retries: 2 });
}

/** Confirms a device code for an account, as a person would in the browser. */
export async function approveDevice(
	cloudUrl: string,
	token: string,
	userCode: string,
	username: string,
): Promise<void> {
	const response = await fetch(`${cloudUrl}/v1/device-approvals`, {
		method: "POST",
		headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
		body: JSON.stringify({ user_code: userCode, username }),
		signal: AbortSignal.timeout(30_000),
	});
	if (response.ok) return;
	const problem = (await response.json().catch(() => undefined)) as { detail?: string } | undefined;
	throw new Complaint(
		"forbidden",
		`${cloudUrl} did not confirm the login as ${username}: ${problem?.detail ?? `HTTP ${response.status}`}`,
		{
			next: "errand cloud user list",
		},
	);
}
