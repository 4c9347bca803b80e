/** Prints the configuration that somebody's endpoint would get, and whose it would be, without a cloud. */
import { existsSync, readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import type * as z from "zod";
import { readCredentials } from "../config/credentials.ts";
import { type Identity, identitySet } from "../multiuser/identity.ts";
import { openIdentityMapFile } from "../multiuser/identity-map-file.ts";
import { type LocalAccount, localAccount } from "../multiuser/local-account.ts";
import type { JsonObject } from "../multiuser/quoted-values.ts";
import { readUserConfigTemplate, renderUserConfig } from "../multiuser/user-config.ts";
import { userConfigFiles } from "../multiuser/user-config-files.ts";
import { exitStatus } from "../service/exit-status.ts";
import type { Logger } from "../service/logger.ts";

export interface RenderRequest {
	/** JSON, or the name of a file of JSON or YAML; undefined: nothing is asked for. */
	readonly userConfig: string | undefined;
	readonly userRuntime: string | undefined;
	/** A user name such as ada@example.org, or identities as JSON, or a file of them; undefined: whoever types this. */
	readonly identity: string | undefined;
}

/** Of an identity of which only the name is known. */
const noId = "00000000-0000-0000-0000-000000000000";

/** Throws a TypeError: it was typed wrong. */
function typedValue(text: string, option: string): unknown {
	try {
		return parse(/^\s*[{[]/.test(text) ? text : readFileSync(text, "utf8"));
	} catch (error) {
		throw new TypeError(`--${option}: ${(error as Error).message.split("\n")[0]}`);
	}
}

function objectOf(text: string | undefined, option: string): JsonObject {
	const value = text === undefined ? {} : (typedValue(text, option) ?? {});
	if (typeof value !== "object" || Array.isArray(value)) throw new TypeError(`--${option}: names and their values`);
	return value as JsonObject;
}

function identitiesOf(text: string): readonly Identity[] {
	if (!/^\s*[{[]/.test(text) && !existsSync(text))
		return [{ id: noId, sub: noId, username: text, email: text, status: "used" }];
	const value = typedValue(text, "identity");
	const read: z.ZodSafeParseResult<Identity[]> = identitySet.safeParse(Array.isArray(value) ? value : [value]);
	if (!read.success) throw new TypeError("--identity: each identity is an object with at least an id");
	return read.data.map((identity) => ({ status: "used", ...identity }));
}

/** A mapper that fails is told to the person. */
const tell: Logger = {
	debug: () => undefined,
	info: () => undefined,
	warn: (fields: unknown) => {
		const { err } = fields as { err?: Error };
		if (err) process.stderr.write(`errand-endpoint: ${err.message}\n`);
	},
	error: () => undefined,
};

/** Mapping programs are told; an endpoint that is not registered yet has none. */
function endpointIdOf(directory: string): string {
	return existsSync(join(directory, "credentials.json")) ? readCredentials(directory).endpointId : noId;
}

async function accountOf(
	directory: string,
	identity: string | undefined,
): Promise<{ account: LocalAccount; identityId: string }> {
	if (identity === undefined) {
		if (process.geteuid?.() === 0) throw new TypeError("root serves others: say whom, with --identity");
		return { account: await localAccount(userInfo().username), identityId: noId };
	}
	const path = join(directory, userConfigFiles.identityMapping);
	const map = openIdentityMapFile({ path, endpointId: endpointIdOf(directory), log: tell });
	const mapped = await map.map(identitiesOf(identity)).finally(() => map.close());
	if (!mapped) throw new Error(`no rule of ${path} maps ${identity} to an account`);
	return { account: await localAccount(mapped.localName), identityId: mapped.identityId };
}

export async function render(directory: string, request: RenderRequest): Promise<number> {
	const values = objectOf(request.userConfig, "user-config");
	const runtime = objectOf(request.userRuntime, "user-runtime");
	const template = readUserConfigTemplate(directory);
	const { account, identityId } = await accountOf(directory, request.identity);
	const { text } = renderUserConfig(template, { values, runtime, account, identityId }, directory);
	process.stdout.write(`${JSON.stringify({ account, identity: identityId, config: text })}\n`);
	return exitStatus.ok;
}
