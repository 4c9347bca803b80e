/** The environment of user endpoints: nothing of the manager's own, a few variables of the account, and what the facility adds. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import * as z from "zod";
import { ConfigFault } from "../config/config.ts";
import type { LocalAccount } from "../multiuser/local-account.ts";
import { readTrustedFile } from "../multiuser/trusted-file.ts";
import { userConfigFiles } from "../multiuser/user-config-files.ts";

export type Environment = Readonly<Record<string, string>>;

const systemPath = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";
/** Whose process it is must not be in doubt. */
const ofTheAccount = ["HOME", "USER", "LOGNAME", "SHELL"] as const;

const text = z.union([z.string(), z.number(), z.boolean()]).transform(String);
const document = z.record(z.string(), text);
const variableName = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** `user_environment.yaml`: names and values. Empty when there is none. Throws a {@link ConfigFault}. */
export function readUserEnvironment(directory: string): Environment {
	const file = join(directory, userConfigFiles.environment);
	if (!existsSync(file)) return {};
	const { text: written } = readTrustedFile(file);
	let value: unknown;
	try {
		value = parse(written) ?? {};
	} catch (cause) {
		throw new ConfigFault(file, [(cause as Error).message.split("\n")[0] ?? "it is not YAML"]);
	}
	const read = document.safeParse(value);
	if (!read.success)
		throw new ConfigFault(
			file,
			read.error.issues.map(({ path, message }) => `${path.map(String).join(".") || "the file"}: ${message}`),
		);
	const own: readonly string[] = ofTheAccount;
	const faults = Object.keys(read.data).flatMap((name) => {
		if (own.includes(name)) return [`${name}: is the account's own and cannot be said here`];
		return variableName.test(name) ? [] : [`${name}: is not the name of a variable`];
	});
	if (faults.length > 0) throw new ConfigFault(file, faults);
	return read.data;
}

/** All that a user endpoint finds. */
export function environmentOf(account: LocalAccount, added: Environment, language: string | undefined): Environment {
	return {
		PATH: systemPath,
		LANG: language ?? "C.UTF-8",
		...added,
		HOME: account.dir,
		USER: account.uname,
		LOGNAME: account.uname,
		SHELL: account.shell === "" ? "/bin/sh" : account.shell,
	};
}
