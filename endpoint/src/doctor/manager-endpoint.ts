/** What keeps a manager endpoint from working: its files, and what it needs to become somebody else. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { Fault } from "@errand/proto";
import { openIdentityMapFile } from "../multiuser/identity-map-file.ts";
import { type LocalAccount, localAccount } from "../multiuser/local-account.ts";
import { readTemplateFiles, templateOf } from "../multiuser/template-files.ts";
import { renderUserConfig } from "../multiuser/user-config.ts";
import { userConfigFiles } from "../multiuser/user-config-files.ts";
import { silentLogger } from "../service/logger.ts";
import { asAccount } from "../spawner/launch.ts";
import { readManagerConfig } from "../spawner/manager-config.ts";
import { servesOthers } from "../spawner/manager-endpoint.ts";
import { environmentOf, readUserEnvironment } from "../spawner/user-environment.ts";
import { type Findings, fault, ok, type Verdict, warning } from "./check.ts";

const programTimeoutMs = 20_000;
/** Whose homes are looked at, of those that the map names. */
const accountsLimit = 20;

/** Has no rights anywhere: what it can read, everybody can. */
const nobody: LocalAccount = {
	uname: "nobody",
	uid: 65_534,
	gid: 65_534,
	gecos: "",
	dir: "/",
	shell: "/bin/sh",
	groups: [65_534],
};

/** @param program the endpoint program's main file */
export async function examineManager(findings: Findings, directory: string, program: string): Promise<void> {
	await findings.look("config.yaml", () => {
		const { maxUserEndpoints, allowedFunctions } = readManagerConfig(directory);
		const functions = allowedFunctions === undefined ? "any function" : `${allowedFunctions.length} functions`;
		return ok(`a manager: at most ${maxUserEndpoints} user endpoints, ${functions}`);
	});
	const readable = await findings.look("template", () => template(directory));
	if (readable)
		await findings.look(userConfigFiles.environment, () => {
			const names = Object.keys(readUserEnvironment(directory));
			return ok(names.length === 0 ? "adds nothing" : `adds ${names.join(", ")}`);
		});
	if (!servesOthers()) {
		await findings.look("identity map", () => ok(`not needed: it serves you alone, as ${userInfo().username}`));
		return;
	}
	await findings.look("identity map", () => identityMap(directory));
	const drops = await findings.look("rights", () => {
		const run = runAs(nobody, ["/bin/sh", "-c", "grep -E '^(CapBnd|CapEff|NoNewPrivs)' /proc/self/status"]);
		if (run.status !== 0) return fault(`setpriv does not drop rights here (${run.stderr.trim()})`, "update util-linux");
		const kept = /^Cap\w+:\s*0*[1-9a-f]/m.test(run.stdout) || !/^NoNewPrivs:\s*1$/m.test(run.stdout);
		return kept
			? fault(`setpriv left rights: ${run.stdout.trim()}`, "update util-linux")
			: ok("setpriv drops all of them");
	});
	if (!drops) return;
	await findings.look("program", () => {
		const run = runAs(nobody, [process.execPath, program, "--version"]);
		if (run.status === 0) return ok(`every account can run ${program}`);
		return fault(
			`an account without rights cannot run ${process.execPath} ${program} (${lastLine(run.stderr)})`,
			"install Errand where everybody can read it, /opt/errand for example",
		);
	});
	for (const name of namedAccounts(directory)) await findings.look(`home of ${name}`, () => home(name));
}

/** Filled in for whoever asks for nothing. */
async function template(directory: string): Promise<Verdict> {
	const files = readTemplateFiles(directory);
	const account = servesOthers() ? nobody : await localAccount(userInfo().username);
	const request = { values: {}, runtime: {}, account, identityId: "00000000-0000-0000-0000-000000000000" };
	const of = files.schema === undefined ? "no schema" : "with a schema";
	try {
		renderUserConfig(templateOf(files), request, directory);
		return ok(`gives a configuration to who asks for nothing; ${of}`);
	} catch (error) {
		if (!(error instanceof Fault)) throw error;
		return warning(
			`gives none to who asks for nothing: ${error.message}`,
			"if that is not meant, give the values a default(…)",
		);
	}
}

function identityMap(directory: string): Verdict {
	const path = join(directory, userConfigFiles.identityMapping);
	if (!existsSync(path))
		return fault(`${path} is missing: nobody is served`, `see ${path}.example and docs/templates.md`);
	const map = openIdentityMapFile({ path, endpointId: "", log: silentLogger });
	map.close();
	return ok(`${path}: try it with errand endpoint render --identity`);
}

/** Those that a rule names outright. */
function namedAccounts(directory: string): string[] {
	try {
		const documents = JSON.parse(readFileSync(join(directory, userConfigFiles.identityMapping), "utf8")) as {
			mappings?: { output?: unknown }[];
		}[];
		const outputs = documents.flatMap(({ mappings = [] }) => mappings.map(({ output }) => output));
		const names = outputs.filter((output): output is string => typeof output === "string" && !output.includes("{"));
		return [...new Set(names)].slice(0, accountsLimit);
	} catch {
		return []; // told above
	}
}

async function home(name: string): Promise<Verdict> {
	const account = await localAccount(name);
	const run = runAs(account, ["/bin/sh", "-c", 'cd -- "$HOME" && test -w .']);
	if (run.status === 0) return ok(account.dir);
	return fault(`${name} cannot enter and write ${account.dir} (${lastLine(run.stderr)})`, `repair the home of ${name}`);
}

function runAs(
	account: LocalAccount,
	words: readonly string[],
): { status: number | null; stdout: string; stderr: string } {
	const [first = "", ...rest] = asAccount(account, words);
	const env = environmentOf(account, {}, undefined);
	const run = spawnSync(first, rest, { env, cwd: "/", encoding: "utf8", timeout: programTimeoutMs });
	return { status: run.status, stdout: run.stdout ?? "", stderr: run.stderr ?? String(run.error?.message ?? "") };
}

const lastLine = (text: string): string => text.trim().split("\n").at(-1) ?? "";
