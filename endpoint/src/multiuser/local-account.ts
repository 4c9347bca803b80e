/** Accounts of this machine, as its name service knows them: files, LDAP, SSSD. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { Fault } from "@errand/proto";

const run = promisify(execFile);
const lookUpTimeoutMs = 10_000;
/** `nobody` of every Linux; what the kernel shows for ids that it cannot express, too. */
const nobodyUid = 65_534;
/** To the kernel it means "leave it as it is": whoever is told to become it stays root. Above it nothing is an id. */
const noId = 0xffff_ffff;

/** A number or an option would be understood as such by the programs that are asked. */
const accountName = /^[^\s:/,\p{Cc}-][^:/,\p{Cc}]{0,255}$/u;

export interface LocalAccount {
	readonly uname: string;
	readonly uid: number;
	readonly gid: number;
	readonly gecos: string;
	/** The home. */
	readonly dir: string;
	readonly shell: string;
	/** Every group's id, its own one first. */
	readonly groups: readonly number[];
}

const refuse = (message: string, cause?: unknown): Fault => new Fault("SEMANTICALLY_INVALID", message, { cause });

/** Undefined when the name service has no such account. */
async function ask(program: string, words: readonly string[]): Promise<string | undefined> {
	try {
		return (await run(program, [...words], { timeout: lookUpTimeoutMs })).stdout.trimEnd();
	} catch (cause) {
		if ((cause as { code?: unknown }).code === 2 || (cause as { code?: unknown }).code === 1) return undefined;
		throw new Fault("NOT_READY", `accounts cannot be looked up here (${(cause as Error).message}): try again later`, {
			cause,
		});
	}
}

/**
 * The account of this name, as tasks may run under it. A SEMANTICALLY_INVALID fault when there is none, or it is root,
 * nobody, or one that the caller of this process may not become; NOT_READY when the name service does not answer.
 * @param self the effective user id of this process: unless it is root, it can only be itself
 */
export async function localAccount(name: string, self = process.geteuid?.() ?? -1): Promise<LocalAccount> {
	if (!accountName.test(name) || /^[+]?\d+$/.test(name))
		throw refuse(`the identity maps to ${JSON.stringify(name)}, which cannot be the name of an account`);
	const line = (await ask("getent", ["passwd", name]))?.split("\n")[0]?.split(":");
	const [uname = "", , uidText = "", gidText = "", gecos = "", dir = "", shell = ""] = line ?? [];
	if (line === undefined || uname !== name)
		throw refuse(`the identity maps to "${name}", and there is no account of that name on the endpoint's machine`);
	const uid = Number(uidText);
	const gid = Number(gidText);
	const isId = (text: string): boolean => /^\d+$/.test(text) && Number(text) < noId;
	if (!isId(uidText) || !isId(gidText) || !dir.startsWith("/"))
		throw refuse(`the account "${name}" is not complete on the endpoint's machine: its administrator can repair it`);
	if (uid === 0 || name === "root") throw refuse(`the identity maps to "${name}", which is root: nothing runs as root`);
	if (uid === nobodyUid || name === "nobody")
		throw refuse(`the identity maps to "${name}", which is nobody in particular: nothing runs as nobody`);
	if (self !== 0 && uid !== self)
		throw refuse(`the identity maps to "${name}", but this endpoint is not root's and serves only account ${self}`);
	const groups = (await ask("id", ["-G", uname]))?.split(" ").map(Number) ?? [];
	return { uname, uid, gid, gecos, dir, shell, groups: [gid, ...groups.filter((group) => group !== gid)] };
}
