/** Globus Compute's SDK and endpoint daemon, unmodified, log in to this cloud: by environment variables and nothing else. */
import { execFile, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { computeScope, peerClientId } from "@errand/proto/rest";
import { type Browser, type BrowserContext, chromium } from "playwright-core";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { TestCloud } from "../harness/cloud.ts";
import { CommandLine } from "../harness/command-line.ts";
import { globusPackages } from "../harness/globus.ts";
import { LoggedProcess } from "../harness/process.ts";
import { type PythonEnvironment, pythonEnvironment } from "../harness/python.ts";
import { makeSiteCertificate, TlsProxy } from "../harness/tls.ts";

const run = promisify(execFile);
const program = fileURLToPath(new URL("logins.py", import.meta.url));
const cli = fileURLToPath(new URL("../../sdk/cli/main.ts", import.meta.url));
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const manageProjects = "urn:globus:auth:scope:auth.globus.org:manage_projects";
/** The daemon asks nobody who does not sit at a terminal. */
const atTerminal = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";

interface GlobusEnv {
	environment: Record<string, string>;
	unset: string[];
	tokens: string | null;
	identity: string | null;
}

// Python starts slowly where many others run.
vi.setConfig({ testTimeout: 120_000 });

let cloud: TestCloud;
let ada: CommandLine;
let peers: PythonEnvironment;
let earlier: PythonEnvironment;
let browser: Browser;
/** The browser remembers who has logged in. */
let person: BrowserContext;
let scratch: string;
/** Of one test: where the programs keep their files. */
let directory: string;
let count = 0;
/** Of a login that is older than any test needs by the time of the last one. */
let early: { environment: NodeJS.ProcessEnv; directory: string };

beforeAll(async () => {
	if (!existsSync(executablePath)) throw new Error(`no Chromium at ${executablePath}: install it, or set CHROMIUM`);
	scratch = mkdtempSync(join(tmpdir(), "errand-logins-"));
	peers = await pythonEnvironment([globusPackages.endpoint]);
	earlier = await pythonEnvironment([globusPackages.earlierSdk]);
	cloud = await TestCloud.start();
	ada = await CommandLine.open(cloud, "ada");
	directory = join(scratch, "early");
	early = { environment: shellOf(await globusEnv("--login", "--approve-as", "ada")), directory };
	browser = await chromium.launch({
		executablePath,
		args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
	});
	person = await browser.newContext();
}, 300_000);
afterAll(async () => {
	await browser?.close();
	await ada?.close();
	await cloud?.stop();
	await peers?.remove();
	await earlier?.remove();
	if (scratch) rmSync(scratch, { recursive: true, force: true });
});
beforeEach(() => {
	directory = join(scratch, String(count++));
});

const globusEnv = (...words: string[]): Promise<GlobusEnv> =>
	ada.json<GlobusEnv>("globus-env", "--user-dir", directory, ...words);

/** What a person's shell has after `eval "$(errand globus-env …)"`. */
function shellOf({ environment }: GlobusEnv, more: Record<string, string> = {}): NodeJS.ProcessEnv {
	return { PATH: process.env.PATH, HOME: scratch, PYTHONDONTWRITEBYTECODE: "1", ...environment, ...more };
}

/** `errand globus-forward` of somebody, on a port of its own. */
function forwardOf({ environment }: CommandLine): LoggedProcess {
	return new LoggedProcess("forward", process.execPath, [cli, "globus-forward", "--port", "0", "--json"], environment);
}

const daemon = (): string => join(dirname(peers.python), "globus-compute-endpoint");

async function python(environment: NodeJS.ProcessEnv, act: string, by = peers): Promise<Record<string, never>[]> {
	const { stdout } = await run(by.python, [program, act], { env: environment, timeout: 60_000 });
	return stdout
		.split("\n")
		.filter((line) => line.startsWith("{"))
		.map((line) => JSON.parse(line));
}

/** Goes where the program says, logs in and agrees as a person does; the code that is shown then. */
async function codeFrom(url: string): Promise<string> {
	const page = await person.newPage();
	try {
		await page.goto(url);
		await page.getByLabel("Username").fill("ada");
		await page.getByLabel("Password").fill("ada-password");
		await page.keyboard.press("Enter");
		await page.getByRole("heading", { name: "Allow access?" }).waitFor();
		expect(await page.textContent("main")).toContain("Globus Compute SDK");
		await page.getByRole("button", { name: "Allow" }).click();
		await page.getByRole("heading", { name: "Your code" }).waitFor();
		return await page.getByLabel("Authorization code").inputValue();
	} finally {
		await page.close();
	}
}

/** What somebody types at a program's questions; rejects with all that it said when it fails. */
function answered(
	words: readonly string[],
	environment: NodeJS.ProcessEnv,
	answers: readonly string[],
): Promise<string> {
	return new Promise((resolve, reject) => {
		const child = execFile(peers.python, words, { env: environment, timeout: 100_000 }, (error, stdout, stderr) => {
			if (error) reject(new Error(`${words.join(" ")} failed:\n${stdout}\n${stderr}`));
			else resolve(stdout);
		});
		child.stdin?.end(answers.map((answer) => `${answer}\n`).join(""));
	});
}

/** Runs a program that prints an address and waits for the code that is shown there. All that it printed. */
async function pasteCode(words: readonly string[], environment: NodeJS.ProcessEnv): Promise<string> {
	const child = spawn(peers.python, words, { env: environment, stdio: ["pipe", "pipe", "inherit"] });
	const lines: string[] = [];
	const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
	for await (const line of createInterface({ input: child.stdout })) {
		lines.push(line);
		const url = /https?:\/\/[^\s"]+\/authorize\?[^\s"]+/.exec(line)?.[0];
		if (url !== undefined) child.stdin.write(`${await codeFrom(url)}\n`);
	}
	child.stdin.end();
	if ((await ended) !== 0) throw new Error(`${words.join(" ")} failed:\n${lines.join("\n")}`);
	return lines.join("\n");
}

async function whoami(token: string): Promise<{ status: number; username: string | undefined }> {
	const reply = await fetch(`${cloud.url}/v1/whoami`, { headers: { authorization: `Bearer ${token}` } });
	return { status: reply.status, username: ((await reply.json()) as { username?: string }).username };
}

interface AppTokens {
	required: boolean;
	before: Record<string, string>;
	renewed: Record<string, boolean>;
	after: Record<string, string>;
	me: { preferred_username: string; identity_set: object[] };
}

test("NEW-29: the daemon's login: the address that it prints, a page in a browser, and the code pasted; whoami, renewal, logout", async () => {
	const environment = shellOf(await globusEnv());
	await pasteCode(["-c", atTerminal, peers.python, daemon(), "login"], environment);
	const { stdout } = await run(peers.python, [daemon(), "whoami"], { env: environment });
	expect(stdout).toContain("ada");
	const [kept] = (await python(environment, "app")) as unknown as AppTokens[];
	expect(kept).toMatchObject({ required: false, renewed: { funcx_service: true, "auth.globus.org": true } });
	expect(kept?.after.funcx_service).not.toBe(kept?.before.funcx_service);
	expect(kept?.me).toMatchObject({ preferred_username: "ada" });
	expect(kept?.me.identity_set).toHaveLength(1);
	await run(peers.python, [daemon(), "logout"], { env: environment });
	for (const token of [kept?.before.funcx_service, kept?.after.funcx_service])
		expect(await whoami(token ?? "")).toMatchObject({ status: 401 });
	const asked = await run(peers.python, [daemon(), "whoami"], { env: environment }).catch((error: Error) => error);
	expect(asked).toBeInstanceOf(Error);
});

test("NEW-29: errand globus-env --login logs the daemon and the SDK in without a code to paste", async () => {
	const told = await globusEnv("--login", "--approve-as", "ada");
	expect(told.unset).toEqual(["GLOBUS_COMPUTE_CLIENT_ID", "GLOBUS_COMPUTE_CLIENT_SECRET"]);
	expect(statSync(told.tokens ?? "").mode & 0o777).toBe(0o600);
	expect(statSync(directory).mode & 0o777).toBe(0o700);
	const environment = shellOf(told);
	const { stdout } = await run(peers.python, [daemon(), "whoami"], { env: environment });
	expect(stdout).toContain("ada");
	const [kept] = (await python(environment, "app")) as unknown as AppTokens[];
	expect(kept).toMatchObject({ required: false, me: { preferred_username: "ada", sub: told.identity } });
	expect(await whoami(kept?.after.funcx_service ?? "")).toEqual({ status: 200, username: "ada" });
	// What was renewed was kept, by their code in our file.
	const [again] = (await python(environment, "app")) as unknown as AppTokens[];
	expect(again?.before).toEqual(kept?.after);
	// Another login takes its place, and the one before is ended at the cloud.
	await globusEnv("--login", "--approve-as", "ada");
	expect((await python(environment, "app"))[0]).toMatchObject({ required: false });
	expect(await whoami(again?.after.funcx_service ?? "")).toMatchObject({ status: 401 });
});

test("NEW-29: the SDK of a year before finds the login that errand globus-env has written, and renews it", async () => {
	const environment = shellOf(await globusEnv("--login", "--approve-as", "ada"));
	const [kept] = await python(environment, "app", earlier);
	expect(kept).toMatchObject({
		...{ required: false, renewed: { funcx_service: true, "auth.globus.org": true } },
		me: { preferred_username: "ada" },
	});
	// A newer one takes over what the older one has kept.
	expect((await python(environment, "app"))[0]).toMatchObject({ required: false });
});

test("NEW-29: errand globus-env --client makes a service client, and errand globus-forward brings the cloud to where the SDK looks", async () => {
	const forward = forwardOf(ada);
	try {
		const { environment: detour } = JSON.parse(await forward.line('"forwarding"')) as GlobusEnv;
		const service = await globusEnv("--client", "nightly");
		const { stdout } = await run(peers.python, [daemon(), "whoami"], { env: shellOf(service) });
		expect(stdout).toContain("nightly");
		const [found] = await python(shellOf(service, detour), "client");
		expect(found).toEqual({ version: null, endpoints: [] });
		await ada.expect("globus-env", "--login", "--approve-as", "ada", "--user-dir", `${directory}-2`);
		const person = shellOf({ ...service, environment: (await globusEnv()).environment }, detour);
		const [mine] = await python({ ...person, GLOBUS_COMPUTE_USER_DIR: `${directory}-2` }, "client");
		expect(mine).toEqual({ version: null, endpoints: [] });
	} finally {
		expect(await forward.stop()).toBe(0);
	}
});

test("NEW-29: a cloud elsewhere, behind TLS of a site's own authority, is brought to where the SDK looks", async () => {
	await using stack = new AsyncDisposableStack();
	const certificates = join(scratch, "certificates");
	mkdirSync(certificates);
	const site = makeSiteCertificate(certificates);
	const proxy = await TlsProxy.open(site, "127.0.0.2");
	stack.defer(() => proxy.close());
	const elsewhere = await TestCloud.start({
		ERRAND_CLOUD_PUBLIC_URL: proxy.url,
		ERRAND_CLOUD_TRUSTED_PROXIES: "127.0.0.2",
	});
	stack.defer(() => elsewhere.stop());
	proxy.forwardTo(elsewhere.port);
	const grace = await CommandLine.open(elsewhere, "grace", {
		url: proxy.url,
		environment: { NODE_EXTRA_CA_CERTS: site.authority },
	});
	const forward = forwardOf(grace);
	stack.defer(async () => expect(await forward.stop()).toBe(0));
	const { environment: detour } = JSON.parse(await forward.line('"forwarding"')) as GlobusEnv;
	const login = ["--login", "--approve-as", "grace", "--user-dir", directory];
	const told = await grace.json<GlobusEnv>("globus-env", ...login);
	expect(told.environment.GLOBUS_SDK_SERVICE_URL_AUTH).toBe(`${proxy.url}/`);
	const environment = shellOf(told, { ...detour, GLOBUS_SDK_VERIFY_SSL: site.authority });
	expect((await python(environment, "client"))[0]).toEqual({ version: null, endpoints: [] });
	expect((await python(environment, "app"))[0]).toMatchObject({ me: { preferred_username: "grace" } });
});

test("NEW-23: NEW-29: client credentials by ConfidentialAppAuthClient: tokens, introspection, userinfo, identities, revocation", async () => {
	const told = await globusEnv("--client", "portal");
	const [live, ended] = await python(shellOf(told), "service");
	const identity = told.identity as string;
	const username = `${identity}@clients`;
	expect(live).toMatchObject({
		identity,
		services: [["funcx_service"], ["auth.globus.org"]],
		introspection: {
			...{ active: true, sub: identity, username, client_id: identity, scope: computeScope, aud: "funcx_service" },
			identity_set: [{ sub: identity, username }],
		},
		userinfo: { sub: identity, preferred_username: username, identity_set: [{ sub: identity }] },
		identities: { identities: [{ id: identity, username }] },
	});
	expect(await whoami((live as unknown as { token: string }).token)).toMatchObject({ status: 401 });
	expect(ended).toEqual({
		introspection: { active: false },
		rubbish: { active: false },
		impostor: { status: 401, error: "invalid_client" },
		nonsense: { status: 400, error: "invalid_scope" },
	});
});

test("NEW-23: NEW-29: the native flow by NativeAppAuthClient: a fresh login on demand, id_token, refresh tokens that may be used twice", async () => {
	const environment = shellOf(await globusEnv());
	await pasteCode([program, "native", peerClientId], environment);
	// The password is asked for again, because the program wants it so.
	const lines = (await pasteCode([program, "native", peerClientId], environment)).split("\n");
	const said = JSON.parse(lines.at(-1) ?? "") as { token: string };
	expect(said).toMatchObject({
		username: "ada",
		same: true,
		scopes: {
			funcx_service: [computeScope],
			"auth.globus.org": expect.arrayContaining(["openid", manageProjects]),
		},
		renewed: [["funcx_service"], ["funcx_service"]],
		kept: [true, true],
		again: { status: 400, error: "invalid_grant" },
	});
});

test("NEW-23: NEW-29: the daemon's configure makes a project and a policy here, and puts it into its configuration", async () => {
	const told = await globusEnv("--login", "--approve-as", "ada");
	const environment = shellOf(told, { PATH: `${dirname(peers.python)}:${process.env.PATH}` });
	const rules = [
		"--allowed-domains",
		"uni.edu,*.Lab.org",
		"--excluded-domains",
		"guests.uni.edu",
		"--auth-timeout",
		"3600",
	];
	const configure = [daemon(), "configure", "--multi-user", "false"];
	const identity = told.identity ?? "";
	const said = await answered([...configure, ...rules, "first"], environment, [
		"peers",
		"ada@uni.edu",
		identity,
		"",
		"y",
	]);
	expect(said).toContain("Project created.");
	const policyOf = async (name: string) => {
		const text = readFileSync(join(directory, name, "config.yaml"), "utf8");
		const id = /^authentication_policy: ([0-9a-f-]{36})$/m.exec(text)?.[1] ?? text;
		return await ada.json<Record<string, unknown>>("policy", "show", id);
	};
	const first = await policyOf("first");
	expect(first).toMatchObject({
		name: "Globus Compute Authentication Policy",
		domain_constraints_include: ["uni.edu", "*.lab.org"],
		domain_constraints_exclude: ["guests.uni.edu"],
		authentication_assurance_timeout: 3600,
		project_id: expect.any(String),
	});
	const project = ["--auth-policy-project-id", String(first.project_id), "--auth-policy-display-name", "second"];
	await answered([...configure, ...project, "--allowed-domains", "uni.edu", "second"], environment, []);
	expect(await policyOf("second")).toMatchObject({ name: "second", project_id: first.project_id });
	// The list of projects, from which a person chooses.
	const third = [...configure, "--auth-policy-display-name", "third", "--auth-timeout", "60", "third"];
	expect(await answered(third, environment, ["1"])).toContain("peers");
	expect(await policyOf("third")).toMatchObject({ project_id: first.project_id, authentication_assurance_timeout: 60 });
	const nonsense = answered([...configure, ...project, "--allowed-domains", "not a domain", "no"], environment, []);
	await expect(nonsense).rejects.toThrow(/SEMANTICALLY_INVALID.*a domain like example\.org/s);
});

test("NEW-23: NEW-29: a login that is too old for an endpoint's policy: the SDK logs in anew by itself, and its submit is taken", async () => {
	const owner = (await cloud.login("owner")).client;
	const forward = forwardOf(ada);
	try {
		const { environment: detour } = JSON.parse(await forward.line('"forwarding"')) as GlobusEnv;
		const environment = { ...early.environment, ...detour, PYTHONUNBUFFERED: "1" };
		const [kept] = (await python(environment, "app")) as unknown as AppTokens[];
		const claims = (kept?.after.funcx_service ?? "").split(".")[1] ?? "";
		const { auth_time: loggedInS } = JSON.parse(Buffer.from(claims, "base64url").toString()) as { auth_time: number };
		// Young enough for a person who types, and older than what is asked for.
		const sessionAgeS = 25;
		await expect
			.poll(() => Date.now() / 1000 - loggedInS, { timeout: 60_000, interval: 500 })
			.toBeGreaterThan(sessionAgeS + 1);
		const policy = await owner.authPolicies.create({
			name: "recent",
			authentication_assurance_timeout: sessionAgeS,
		});
		const { endpoint_id } = await owner.registerEndpoint({
			endpoint_name: "guarded",
			authentication_policy: policy.id,
			metadata: { errand_protocol: 1 },
		});
		await owner.sharing.shareEndpoint(endpoint_id, { account: "ada", functions: null });
		const said = await pasteCode([program, "submit", endpoint_id], environment);
		expect(said).toContain("session_required_policies");
		expect(said).toMatch(/\{"task": "[0-9a-f-]{36}"\}$/);
		// A service client is told so, and not asked again and again.
		const service = shellOf(await globusEnv("--client", "robot"), detour);
		const robot = service.GLOBUS_COMPUTE_CLIENT_ID ?? "";
		await owner.sharing.shareEndpoint(endpoint_id, { account: robot, functions: null });
		const refused = await run(peers.python, [program, "submit", endpoint_id], { env: service }).catch(String);
		expect(refused).toMatch(/AUTHENTICATION_POLICY_NOT_MET.*which a service client has not/s);
		// Our own command line says what to do.
		await owner.authPolicies.change(policy.id, { authentication_assurance_timeout: 1 });
		const typed = await ada.run("run", "-e", endpoint_id, "--detach", "--", "true");
		expect(typed.code).toBe(3);
		expect(typed.stderr).toMatch(/wants a login of the last 1 s .*log in again\.\n +next: errand login --fresh/);
	} finally {
		expect(await forward.stop()).toBe(0);
	}
});
