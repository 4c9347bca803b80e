import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import type { TaskDocument } from "@errand/proto/rest";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Desk, openDesk } from "./command.test-harness.ts";
import { exitCodes } from "./exit-code.ts";
import { ids, nowMs, taskDocument } from "./fake-cloud.test-harness.ts";
import { openHome } from "./home.ts";
import { rememberTask } from "./last-task.ts";
import { readProcessRecord } from "./process-record.ts";
import { verbs } from "./verbs.ts";

let desk: Desk;
beforeEach(async () => {
	desk = await openDesk();
});
afterEach(async () => {
	await desk.type(["endpoint", "stop", "local"]);
	await desk.type(["cloud", "stop"]);
	await desk.close();
});

const { status: notFound } = exitCodes.notFound;

async function freePort(): Promise<number> {
	const server = createServer();
	await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
	const { port } = server.address() as { port: number };
	await new Promise((resolve) => server.close(resolve));
	return port;
}

/** A flow in the directory to work in, with a warning. */
function writeFlow(): void {
	const step =
		"{Type: Action, ActionUrl: 'errand:compute', Parameters: {}, WaitTime: 60, ExceptionOnActionFailure: true, End: true}";
	writeFileSync(join(desk.directory, "steps.yaml"), `StartAt: A\nStates:\n  A: ${step}\n`);
}

/** Each look is a second later. */
function clockThatGoes(): () => number {
	let ms = nowMs;
	return () => (ms += 1000);
}

function isThere(pid: number): boolean {
	try {
		return process.kill(pid, 0);
	} catch {
		return false;
	}
}

function waitingTask(): TaskDocument {
	const { result, ...rest } = taskDocument(ids.submitted, {
		state: "waiting-for-nodes",
		finished_at: null,
		execution: null,
	});
	return rest;
}

const inMs = (minutes: number): number => nowMs + minutes * 60_000;
/** A heartbeat of an endpoint that has much to say. */
const busyDetails = {
	scheduler: "slurm",
	total_workers: 4,
	idle_workers: 1,
	paused: "3 blocks in a row ended without a manager: execve(): node: No such file",
	trouble: "the last submission was rejected: Invalid account",
	blocks: [
		{
			...{ id: "b7f3c1d2e4", queue: "debug", state: "active", job_id: "4711", nodes: 2, managers: 2, reason: "" },
			...{ since_ms: inMs(-12), expected_start_ms: null, ends_at_ms: inMs(48) },
		},
		{
			...{ id: "c0ffee0000", queue: "gpu", state: "submitted", job_id: "4712", nodes: 1, managers: 0 },
			...{ reason: "Priority", since_ms: inMs(-3), expected_start_ms: inMs(90), ends_at_ms: null },
		},
		{
			...{ id: "deadbeef00", queue: "gpu", state: "held", job_id: null, nodes: 1, managers: 0 },
			...{ reason: "JobHeldAdmin\n\u001b[2J", since_ms: inMs(-1), expected_start_ms: null, ends_at_ms: null },
		},
	],
	waiting: [
		{ demand: "plain", tasks: 2, word: "nodes-busy", sentence: "Its 2 nodes are busy." },
		{ demand: "1,g4", tasks: 1, word: "block-pending", sentence: "1 block is queued, which waits for Priority." },
	],
};

const writeFlowJson = async (): Promise<void> => {
	const definition = { StartAt: "Only", States: { Only: { Type: "Pass", End: true } } };
	const { writeFileSync } = await import("node:fs");
	writeFileSync(join(desk.directory, "flow.json"), JSON.stringify({ title: "analyse", definition }));
};
const configure = (): Promise<unknown> => desk.type(["endpoint", "configure", "local"]);
async function startCloudHere(): Promise<void> {
	desk.environment.ERRAND_CLOUD_PORT = String(await freePort());
}

interface Scene {
	/** What is typed after the verb's own words. */
	words?: readonly string[];
	/** The person has pressed Ctrl-C: of a verb that goes on until then. */
	interrupted?: boolean;
	before?: () => Promise<unknown> | unknown;
	/** Exit status; 0 unless told. */
	status?: number;
	/** What --quiet prints, when it is always the same. */
	quiet?: readonly string[];
}

/** One command for each verb: all three outputs of it are looked at. */
const scenes: Record<string, Scene> = {
	login: {
		words: ["--approve-as", "ada"],
		before: () => {
			delete desk.environment.ERRAND_TOKEN;
			return import("node:fs").then((fs) =>
				fs.writeFileSync(openHome(desk.environment).operatorToken, "operator\n", { mode: 0o600 }),
			);
		},
		quiet: [ids.account],
	},
	logout: { quiet: [] },
	whoami: { quiet: [ids.account] },
	run: { words: ["-e", "local", "--", "echo", "hi"], quiet: [ids.submitted] },
	"task list": { quiet: [ids.succeeded, ids.failed, ids.running] },
	"task show": { words: [ids.failed], quiet: [ids.failed] },
	"task explain": { words: [ids.running], quiet: [ids.running] },
	"task wait": { words: [ids.succeeded], quiet: [ids.succeeded] },
	"task result": { words: [ids.succeeded], quiet: [ids.succeeded] },
	"task logs": {
		words: ["aaaa1"],
		before: () => desk.cloud.output.set(`${ids.succeeded} stdout`, ["one\n", "two\n"]),
		quiet: [],
	},
	"task cancel": { words: [ids.running], quiet: [ids.running] },
	"task retry": { words: [ids.failed], quiet: [ids.retried] },
	put: { words: ["analysis.py", "local:/data/"], quiet: [ids.transfer] },
	get: { words: ["local:/data/mean.txt"], quiet: [ids.transfer] },
	transfer: {
		words: ["local:/data/a", "local:/data/b/", "--exclude", "*.tmp", "--deadline", "1h"],
		quiet: [ids.transfer],
	},
	"transfer list": { words: ["--status", "ACTIVE"], quiet: [ids.transfer] },
	"transfer show": { words: ["eeee"], quiet: [ids.transfer] },
	"transfer files": { words: [ids.transfer], quiet: ["/data/b/a"] },
	"transfer cancel": { words: [ids.transfer], quiet: [ids.transfer] },
	"endpoint configure": { words: ["local"], quiet: [ids.endpoint] },
	"endpoint start": { words: ["local", "--detach"], before: configure, quiet: ["local"] },
	"endpoint stop": { words: ["local"], before: configure, quiet: ["local"] },
	"endpoint restart": { words: ["local"], before: configure, quiet: ["local"] },
	"endpoint status": { words: ["local"], quiet: [ids.endpoint] },
	"endpoint list": { quiet: [ids.endpoint] },
	"endpoint logs": {
		words: ["local", "-n", "1"],
		before: async () => {
			await configure();
			await desk.type(["endpoint", "start", "local", "--detach"]);
		},
	},
	"endpoint delete": { words: ["local", "--yes"], before: configure, quiet: [ids.endpoint] },
	"endpoint doctor": { words: ["local"], before: configure, quiet: ["process"] },
	"endpoint pause": { words: ["local", "--reason", "maintenance"], before: configure, quiet: ["local"] },
	"endpoint resume": { words: ["local"], before: configure, quiet: ["local"] },
	"endpoint render": { words: ["local"], before: configure, quiet: ["local"] },
	"endpoint users": { words: ["local"], quiet: [ids.running, ids.failed] },
	"endpoint script": { words: ["local"], before: configure, quiet: ["local"] },
	"endpoint share": { words: ["local", "--with", "bob", "--function", "mean"], quiet: [ids.retried] },
	"endpoint shares": { words: ["local"], quiet: [ids.retried] },
	"endpoint unshare": { words: ["local", "--with", "BOB"], quiet: [ids.retried] },
	"flow create": { words: ["flow.json"], before: writeFlowJson, quiet: [ids.group] },
	"flow validate": { words: ["flow.json"], before: writeFlowJson, quiet: [] },
	"flow start": { words: ["analyse", '{"n": 1}', "--label", "first"], quiet: [ids.submitted] },
	"flow list": { quiet: [ids.group] },
	"flow show": { words: ["last"], quiet: [ids.submitted] },
	"flow runs": { words: ["analyse"], quiet: [ids.submitted] },
	"flow watch": { words: ["last"], quiet: [ids.submitted] },
	"flow log": { words: ["last"], quiet: [] },
	"flow cancel": { words: ["last"], quiet: [ids.submitted] },
	"flow resume": { words: ["last"], quiet: [ids.submitted] },
	"flow rerun": { words: ["last"], quiet: [ids.retried] },
	"flow delete": { words: ["analyse", ids.submitted], quiet: [ids.group, ids.submitted] },
	"flow lint": { words: ["steps.yaml"], before: writeFlow, quiet: ["3:6 result-path"] },
	"flow render": { words: ["steps.yaml", "--width", "60"], before: writeFlow, quiet: ["steps.yaml"] },
	"group create": { words: ["astro"], quiet: [ids.group] },
	"group add": { words: ["astro", "bob", "carol"], quiet: [ids.group] },
	"group remove": { words: ["astro"], quiet: ["ada"] },
	"group list": { quiet: [ids.group] },
	"group show": { words: ["astro"], quiet: [ids.account] },
	"group delete": { words: ["astro"], quiet: [ids.group] },
	"policy create": { words: ["staff", "--include", "uni.edu,*.lab.org"], quiet: [ids.policy] },
	"policy change": { words: ["staff", "--max-age", "1h", "--drop", "include"], quiet: [ids.policy] },
	"policy list": { quiet: [ids.policy] },
	"policy show": { words: ["eeee6"], quiet: [ids.policy] },
	"policy delete": { words: ["staff"], quiet: [ids.policy] },
	"function register": { words: ["analysis.py:mean"], quiet: [ids.function] },
	"function list": { quiet: [ids.function] },
	"function show": { words: ["mean"], quiet: [ids.function] },
	"function delete": { words: ["mean"], quiet: [ids.function] },
	"cloud start": { words: ["--detach"], before: startCloudHere },
	"cloud stop": { quiet: [] },
	"cloud status": { words: [], before: startCloudHere, status: exitCodes.unreachable.status, quiet: ["stopped"] },
	"cloud user add": { words: ["grace", "--generate"], quiet: [ids.running] },
	"cloud user list": { quiet: [ids.account] },
	"cloud user admin": { words: ["grace"], quiet: ["grace"] },
	"cloud audit": { words: ["--since", "7d"], quiet: ["7"] },
	"cloud doctor": { before: startCloudHere, status: exitCodes.failed.status, quiet: ["cloud", "operator token"] },
	"globus-env": { words: ["--client", "nightly"] },
	"globus-forward": { words: ["--port", "0"], interrupted: true },
	completion: { words: ["bash"] },
};

test("every verb has a scene, a summary and an example that names it", () => {
	expect(Object.keys(scenes).sort()).toEqual(verbs.map((verb) => verb.name).sort());
	for (const verb of verbs) {
		expect(verb.examples.length, verb.name).toBeGreaterThan(0);
		for (const [command] of verb.examples) expect(command, verb.name).toContain(`errand ${verb.name}`);
	}
});

describe.each(verbs.map((verb) => [verb.name, verb] as const))("errand %s", (name, verb) => {
	const scene = scenes[name] as Scene;
	const words = [...name.split(" "), ...(scene.words ?? [])];
	const more = scene.interrupted === true ? { signal: AbortSignal.abort(new Error("SIGINT")) } : {};
	/** Before `--`, behind which everything belongs to the task. */
	const withFlag = (flag: string): string[] => {
		const dash = words.indexOf("--");
		return dash < 0 ? [...words, flag] : [...words.slice(0, dash), flag, ...words.slice(dash)];
	};

	test("HQ-7: --json prints what the verb's schema says", async () => {
		await scene.before?.();
		const { status, out, err } = await desk.type(withFlag("--json"), more);
		expect(status, err).toBe(scene.status ?? 0);
		const values = verb.json === "document" ? [out] : out.split("\n").filter(Boolean);
		expect(values.length).toBeGreaterThan(0);
		for (const text of values) {
			const parsed = verb.output.safeParse(JSON.parse(text));
			expect(parsed.error, text).toBeUndefined();
		}
	});

	test("HQ-7: --quiet prints ids only", async () => {
		await scene.before?.();
		const { status, out, err } = await desk.type(withFlag("--quiet"), more);
		expect(status, err).toBe(scene.status ?? 0);
		if (scene.quiet) expect(out.split("\n").filter(Boolean)).toEqual(scene.quiet);
	});

	test("HQ-7: the table is for people, without colour when it is not a terminal", async () => {
		await scene.before?.();
		const { status, out, err } = await desk.type(words, more);
		expect(status, err).toBe(scene.status ?? 0);
		expect(out + err).not.toContain("\u001b");
		expect(out + err).not.toBe("");
	});

	test("--help shows an example", async () => {
		const { status, out } = await desk.type([...name.split(" "), "--help"]);
		expect(status).toBe(0);
		expect(out).toContain("Examples:");
		expect(out).toContain(`$ ${verb.examples[0]?.[0]}`);
	});
});

test.each([
	["task-list", ["task", "list"]],
	["task-show", ["task", "show", ids.failed]],
	["task-explain", ["task", "explain", ids.submitted]],
	["task-show-waiting", ["task", "show", ids.submitted]],
	["endpoint-list", ["endpoint", "list"]],
	["transfer-list", ["transfer", "list"]],
	["transfer-show", ["transfer", "show", ids.transfer]],
	["endpoint-status", ["endpoint", "status", "local"]],
	["endpoint-users", ["endpoint", "users", "local"]],
	["function-show", ["function", "show", "mean"]],
	["whoami", ["whoami"]],
	["help", ["--help"]],
	["run-help", ["run", "--help"]],
])("the screen of %s is the golden one", async (name, words) => {
	if (words.includes(ids.submitted)) desk.cloud.tasks.set(ids.submitted, waitingTask());
	if (name === "endpoint-status") desk.cloud.endpoint = { ...desk.cloud.endpoint, details: busyDetails };
	const { out } = await desk.type(words);
	await expect(out.replaceAll(desk.cloud.url, "http://cloud.example")).toMatchFileSnapshot(`./golden/${name}.txt`);
});

describe("FW-1: errand flow", () => {
	const write = (name: string, text: string): void => writeFileSync(join(desk.directory, name), text);
	const flawed = "StartAt: A\nStates:\n  A: {Type: Pass, Next: B}\n";

	test("lint exits with 1 for a fault, and for a warning when told to be strict", async () => {
		write("flawed.yaml", flawed);
		const { status, out, err } = await desk.type(["flow", "lint", "flawed.yaml"]);
		expect(status).toBe(exitCodes.failed.status);
		expect(out).toMatch(/^ *3:25 +error +missing-state +\/States\/A\/Next +there is no state "B"$/m);
		expect(err).toContain("flawed.yaml: 1 error, 0 warnings");
		writeFlow();
		expect((await desk.type(["flow", "lint", "steps.yaml"])).status).toBe(0);
		expect((await desk.type(["flow", "lint", "steps.yaml", "--strict"])).status).toBe(exitCodes.failed.status);
	});

	test("lint reads stdin, and says which file is not there", async () => {
		const { out } = await desk.type(["flow", "lint", "-", "--json"], { readInput: async () => flawed });
		expect(JSON.parse(out)).toMatchObject({ errors: 1, issues: [{ line: 3, code: "missing-state" }] });
		const { status, err } = await desk.type(["flow", "lint", "gone.yaml"]);
		expect(status).toBe(exitCodes.usage.status);
		expect(err).toContain("there is no file gone.yaml");
	});

	test("render draws in the terminal, writes a picture, and refuses a flow with faults", async () => {
		writeFlow();
		expect((await desk.type(["flow", "render", "steps.yaml", "--width", "60"])).out).toContain("│  A  │");
		await desk.type(["flow", "render", "steps.yaml", "--svg", "steps.svg"]);
		expect(readFileSync(join(desk.directory, "steps.svg"), "utf8")).toMatch(/^<svg .*data-state="A"/s);
		write("flawed.yaml", flawed);
		const { status, err } = await desk.type(["flow", "render", "flawed.yaml"]);
		expect(status).toBe(exitCodes.usage.status);
		expect(err).toContain("next: errand flow lint flawed.yaml");
	});
});

test("HQ-4: an endpoint that is paused is marked in the list", async () => {
	desk.cloud.endpoint = { ...desk.cloud.endpoint, details: busyDetails };
	expect((await desk.type(["endpoint", "list"])).out).toContain("online, paused");
	desk.cloud.endpoint = { ...desk.cloud.endpoint, details: { trouble: "the disk is full" } };
	expect((await desk.type(["endpoint", "list"])).out).toContain("online, trouble");
});

describe("NEW-21: errand endpoint share", () => {
	test("sends the group, functions and limits that were typed", async () => {
		const limits = ["--tasks-per-day", "5", "--image", "safe.sif"];
		const { out } = await desk.type(["endpoint", "share", "local", "--with", "group:astro", "-f", "mean", ...limits]);
		expect(out).toBe("Shared local with group:astro.\n");
		expect(desk.cloud.bodies).toContainEqual({
			group: "astro",
			functions: [ids.function],
			tasks_per_day: 5,
			container_image: "safe.sif",
		});
	});

	test("asks which functions, because they run with the owner's rights; `any` must be said", async () => {
		const refused = await desk.type(["endpoint", "share", "local", "--with", "bob"]);
		expect(refused.status).toBe(exitCodes.usage.status);
		expect(refused.err).toContain("--any-function: they run with your rights");
		await desk.type(["endpoint", "share", "local", "--with", "bob", "--any-function"]);
		expect(desk.cloud.bodies.at(-1)).toMatchObject({ account: "bob", functions: null });
	});

	test("is ended by the name that it was made with, and an unknown one is told apart", async () => {
		const { status, err } = await desk.type(["endpoint", "unshare", "local", "--with", "group:bob"]);
		expect(status).toBe(notFound);
		expect(err).toContain("next: errand endpoint shares local");
	});
});

describe("GC-9: errand run --user-config", () => {
	const typed = (config: string) =>
		desk.type(["run", "-e", "local", "--user-config", config, "--detach", "--", "true"]);

	test("sends an object, or a file of one, and what this client is", async () => {
		await typed('{"max_blocks": 4}');
		const body = { user_endpoint_config: { max_blocks: 4 }, user_runtime: { node_version: process.versions.node } };
		expect(desk.cloud.bodies.at(-1)).toMatchObject(body);
		desk.write("big.json", '{"max_blocks": 8}');
		await typed("big.json");
		expect(desk.cloud.bodies.at(-1)).toMatchObject({ user_endpoint_config: { max_blocks: 8 } });
	});

	test.each([
		["[1]", "--user-config is no JSON object"],
		["{max: 1}", "--user-config is not JSON"],
		["nowhere.json", "nowhere.json cannot be read"],
		["solver.ts", "solver.ts is not JSON"],
	])("refuses %s", async (config, words) => {
		const { status, err } = await typed(config);
		expect(status).toBe(exitCodes.usage.status);
		expect(err).toContain(words);
	});
});

test("NEW-21: all tasks on an endpoint are cancelled by its name", async () => {
	await desk.type(["task", "cancel", "--endpoint", "local"]);
	expect(desk.cloud.bodies.at(-1)).toEqual({ endpoint_id: ids.endpoint });
	expect((await desk.type(["task", "cancel"])).err).toContain("or an --endpoint");
});

test("NEW-22: the audit log is printed with what was asked for, one line each", async () => {
	const { out } = await desk.type(["cloud", "audit", "--actor", "ada", "--action", "account", "--since", "1h"]);
	expect(out).toBe(
		`2026-01-31 12:00:00  ada (operator)  account.admin  ${ids.running}  username="grace"  admin=true\n`,
	);
	expect(desk.cloud.requests.at(-1)).toMatch(/audit\?actor=ada&action=account&since=2026-01-31T11/);
});

test("colour is for terminals, and NO_COLOR turns it off", async () => {
	expect((await desk.type(["task", "list"], { terminal: true })).out).toContain("\u001b[32msuccess");
	desk.environment.NO_COLOR = "1";
	expect((await desk.type(["task", "list"], { terminal: true })).out).not.toContain("\u001b");
});

describe("selecting a task", () => {
	test("four or more characters are enough, and `last` is the one submitted most recently", async () => {
		expect((await desk.type(["task", "show", "aaaa2", "-q"])).out).toBe(`${ids.failed}\n`);
		await desk.type(["run", "-e", "local", "--", "true"]);
		expect((await desk.type(["task", "show", "last", "-q"])).out).toBe(`${ids.submitted}\n`);
		const { mode } = statSync(openHome(desk.environment).lastTask);
		expect(mode & 0o777).toBe(0o600);
	});

	test("an ambiguous prefix, a short one, an unknown one and a missing last task are told apart", async () => {
		const ambiguous = await desk.type(["task", "show", "aaaa"]);
		expect(ambiguous).toMatchObject({ status: exitCodes.usage.status });
		expect(ambiguous.err).toContain(`several tasks match "aaaa": ${ids.succeeded}, ${ids.failed}`);
		expect((await desk.type(["task", "show", "aa"])).status).toBe(exitCodes.usage.status);
		expect((await desk.type(["task", "show", "ffff"])).status).toBe(notFound);
		expect((await desk.type(["task", "show", "last"])).status).toBe(notFound);
	});

	test("the last task of another cloud is not taken for one of this", async () => {
		rememberTask(openHome(desk.environment), { id: ids.failed, group: ids.group, cloudUrl: "http://other:5000" });
		expect((await desk.type(["task", "show", "last"])).status).toBe(notFound);
	});
});

describe("errand run", () => {
	test("a command's output comes as it is, and its exit status is the command's", async () => {
		const result = JSON.stringify({ cmd: "x", stdout: "late\n", stderr: "", returncode: 3, exception_name: null });
		desk.cloud.tasks.set(ids.submitted, taskDocument(ids.submitted, { result: `11\n${result}` }));
		desk.cloud.output.set(`${ids.submitted} stdout`, ["first ", "second\n"]);
		desk.cloud.output.set(`${ids.submitted} stderr`, ["oops\n"]);
		const { status, out, err } = await desk.type(["run", "-e", "local", "--", "sh", "-c", "exit 3"]);
		expect({ status, out, err }).toEqual({ status: 3, out: "first second\n", err: "oops\n" });
	});

	test("the words of a command stay words, and one word is a line for the shell", async () => {
		await desk.type(["run", "-e", "local", "--", "ls", "my file", "{a}"]);
		await desk.type(["run", "-e", "local", "--", "ls | wc -l"]);
		const codes = desk.cloud.bodies.flatMap((body) => (body as { function_code?: string }).function_code ?? []);
		expect(codes[0]).toContain(JSON.stringify("ls 'my file' '{{a}}'"));
		expect(codes[1]).toContain(JSON.stringify("ls | wc -l"));
	});

	test("a function's value is on stdout and what it prints is on stderr", async () => {
		desk.cloud.output.set(`${ids.submitted} stdout`, ["printed\n"]);
		const { status, out, err } = await desk.type(["run", "-e", "local", "analysis.py:mean", "[[1,2,3]]"]);
		expect({ status, out, err }).toEqual({ status: 0, out: "2\n", err: "printed\n" });
		expect(JSON.stringify(desk.cloud.bodies)).toContain("[[1,2,3]]");
	});

	test("a TypeScript export is bundled and sent", async () => {
		const { status, err } = await desk.type(["run", "-e", "local", "solver.ts:solve", "[21]"]);
		expect(status, err).toBe(0);
		expect(JSON.stringify(desk.cloud.bodies)).toContain("n * 2");
	});

	test("a function that failed shows its remote stack and exits with 1", async () => {
		const failed = desk.cloud.tasks.get(ids.failed);
		if (failed) desk.cloud.tasks.set(ids.submitted, { ...failed, id: ids.submitted });
		const { status, out, err } = await desk.type(["run", "-e", "local", "analysis.py:mean", "[]"]);
		expect(status).toBe(1);
		expect(out).toBe("");
		expect(err).toContain("RangeError: no flight to count\n    at pickBusiest (errand:busiest:3:11)");
	});

	test("a task for an endpoint that is offline waits, and that is said with when it was last seen", async () => {
		desk.cloud.endpoint = { ...desk.cloud.endpoint, status: "offline" };
		const { status, err } = await desk.type(["run", "-e", "local", "--detach", "--", "true"]);
		expect(status).toBe(0);
		expect(err).toContain("Endpoint local is offline (it was last seen 10 s ago)");
		const wait = await desk.type(["task", "wait", ids.running, "--timeout", "1ms"], { now: clockThatGoes() });
		expect(wait.err).toContain("errand endpoint start local");
	});

	test("a command without -- before it is told how it is written", async () => {
		const { status, err } = await desk.type(["run", "-e", "local", "ls"]);
		expect(status).toBe(notFound);
		expect(err).toContain("errand run -- ls");
	});

	test("an unknown endpoint is told with how to see those there are", async () => {
		const { status, err } = await desk.type(["run", "-e", "nowhere", "--", "ls"]);
		expect(status).toBe(notFound);
		expect(err).toContain("next: errand endpoint list");
	});

	test("resources are asked for in their units", async () => {
		await desk.type(["run", "-e", "local", "--cores", "4", "--memory", "2G", "--walltime", "1h30m", "--", "true"]);
		expect(desk.cloud.bodies.at(-1)).toMatchObject({
			resource_specification: { cores: 4, memory_bytes: 2 * 1024 ** 3, walltime_ms: 5_400_000 },
		});
	});

	test("HQ-2: BAL-5: PAR-6: shares, nodes, ranks, other resources, an image and the expected time are asked for", async () => {
		const words = [
			"--gpus",
			"0.5",
			"--nodes",
			"2",
			"--ranks-per-node",
			"4",
			"--resource",
			"fpga=1",
			"--expected",
			"40m",
		];
		const more = ["--resource", "scratch=0.5", "--image", "sim.sif", "--priority", "-3"];
		await desk.type(["run", "-e", "local", ...words, ...more, "--", "./solver"]);
		expect(desk.cloud.bodies.at(-1)).toMatchObject({
			resource_specification: {
				gpus: 0.5,
				nodes: 2,
				ranks_per_node: 4,
				resources: { fpga: 1, scratch: 0.5 },
				expected_ms: 2_400_000,
				container_image: "sim.sif",
				priority: -3,
			},
		});
	});

	test("NEW-8: HQ-4: a task that does not start says why, to whoever waits, once for each reason", async () => {
		desk.cloud.tasks.set(ids.submitted, waitingTask());
		const clock = { ms: nowMs };
		const reasons = [
			{ word: "paused" as const, sentence: "Three blocks ended in a row:\u001b[2J execve(): node: No such file." },
			{ word: "nodes-busy" as const, sentence: "Both nodes are busy." },
		];
		const asked = (): number => desk.cloud.requests.filter((request) => request.includes("/explanation")).length;
		const { status, err } = await desk.type(["run", "-e", "local", "--", "true"], {
			now: () => clock.ms,
			pause: async (ms) => {
				clock.ms += ms;
				await new Promise((done) => setImmediate(done));
				if (asked() >= 3) desk.cloud.explanation = reasons[1] ?? desk.cloud.explanation;
				else desk.cloud.explanation = reasons[0] ?? desk.cloud.explanation;
				if (asked() >= 6) desk.cloud.tasks.set(ids.submitted, taskDocument(ids.submitted));
			},
		});
		expect(status, err).toBe(0);
		expect(err.split("\n").filter((line) => line.startsWith("Waiting"))).toEqual([
			"Waiting (paused): Three blocks ended in a row:?[2J execve(): node: No such file.",
			"Waiting (nodes-busy): Both nodes are busy.",
		]);
	});

	test("GC-7: Ctrl-C cancels the task and exits with 130", async () => {
		const stop = new AbortController();
		const running = desk.cloud.tasks.get(ids.running);
		if (running) desk.cloud.tasks.set(ids.submitted, { ...running, id: ids.submitted });
		const { status, err } = await desk.type(["run", "-e", "local", "--", "sleep", "1000"], {
			signal: stop.signal,
			pause: async () => {
				stop.abort(new Error("SIGINT"));
				stop.signal.throwIfAborted();
			},
		});
		expect(status).toBe(130);
		expect(desk.cloud.requests).toContain(`POST /v1/tasks/${ids.submitted}/cancel`);
		expect(err).toContain("has been asked to stop");
	});

	test.each([
		[["run", "-e", "local"], "give a function, or a command after --"],
		[["run", "-e", "local", "nowhere.py:f"], "nowhere.py does not exist"],
		[["run", "-e", "local", "analysis.rb:f"], "its language is unknown"],
		[["run", "-e", "local", "analysis.py:mean", "{"], "the arguments are not JSON"],
		[["run", "-e", "local", "analysis.py:mean", "7"], "must be one JSON array"],
		[["run", "-e", "local", "analysis.py:median", "[]"], 'has no function "median"; it defines mean'],
		[["run", "-e", "local", "--walltime", "soon", "--", "true"], '"soon" is not a duration'],
		[["run", "-e", "local", "--gpus", "a few", "--", "true"], '"a few" is not an amount'],
		[["run", "-e", "local", "--resource", "fpga=", "--", "true"], '"fpga=" is not a resource and its amount'],
		[["run", "-e", "local", "--resource", "fpga=1=2", "--", "true"], "is not a resource and its amount"],
	])("%j is refused before anything is submitted", async (words, sentence) => {
		const { status, err } = await desk.type(words);
		expect(err).toContain(sentence);
		expect(status).toBe(exitCodes.usage.status);
		expect(desk.cloud.requests.filter((request) => request.includes("submit"))).toEqual([]);
	});
});

describe("waiting", () => {
	test("ends with 6 when the time is over, and says how to look on", async () => {
		const clock = { ms: 0 };
		const { status, err } = await desk.type(["task", "wait", ids.running, "--timeout", "30s"], {
			now: () => clock.ms,
			pause: async (ms) => {
				clock.ms += ms;
			},
		});
		expect(status).toBe(exitCodes.timeout.status);
		expect(err).toContain(`next: errand task show ${ids.running}`);
		expect(clock.ms).toBeGreaterThanOrEqual(30_000);
	});

	test("exits with 1 when one of the tasks failed", async () => {
		expect((await desk.type(["task", "wait", ids.succeeded, ids.failed])).status).toBe(1);
	});
});

describe("errors", () => {
	const refuse = (status: number, code: string) => (): { status: number; body: unknown } => ({
		status,
		body: { code, detail: "the cloud's own sentence" },
	});

	test.each([
		[401, "USER_UNAUTHENTICATED", "forbidden", "errand login"],
		[403, "FORBIDDEN", "forbidden", undefined],
		[403, "AUTHENTICATION_POLICY_NOT_MET", "forbidden", "errand login --fresh"],
		[404, "TASK_NOT_FOUND", "notFound", undefined],
		[409, "RESOURCE_CONFLICT", "conflict", undefined],
		[422, "SEMANTICALLY_INVALID", "usage", undefined],
		[500, "INTERNAL_ERROR", "internal", undefined],
	] as const)("HTTP %i %s exits as %s, in one sentence without a stack", async (status, code, exit, next) => {
		desk.cloud.intercept = refuse(status, code);
		const typed = await desk.type(["whoami"]);
		expect(typed.status).toBe(exitCodes[exit].status);
		expect(typed.err).toContain("errand: the cloud's own sentence\n");
		expect(typed.err).not.toContain("    at ");
		if (next) expect(typed.err).toContain(`next: ${next}`);
	});

	test("--debug adds the stack, and --json gives the error as JSON", async () => {
		desk.cloud.intercept = refuse(404, "TASK_NOT_FOUND");
		expect((await desk.type(["whoami", "--debug"])).err).toContain("    at ");
		const { err } = await desk.type(["whoami", "--json"]);
		expect(JSON.parse(err)).toEqual({
			error: {
				exit: "notFound",
				status: notFound,
				message: "the cloud's own sentence",
				next: "errand task list",
			},
		});
	});

	test("nobody logged in, nothing listening", async () => {
		desk.environment.ERRAND_CLOUD_URL = `http://127.0.0.1:${await freePort()}`;
		expect((await desk.type(["whoami"])).status).toBe(exitCodes.unreachable.status);
		delete desk.environment.ERRAND_TOKEN;
		const { status, err } = await desk.type(["whoami"]);
		expect(status).toBe(exitCodes.forbidden.status);
		expect(err).toContain("next: errand login");
	});

	test.each([
		[[], "errand needs a verb", "errand --help"],
		[["task"], "errand task needs one of: list, show, explain, wait", "errand task --help"],
		[["task", "lsit"], "unknown command 'lsit' (Did you mean list?)", "errand task --help"],
		[["cloud", "user"], "errand cloud user needs one of: add, list", "errand cloud user --help"],
		[["task", "show"], "missing required argument 'task'", "errand task show --help"],
		[["whoami", "--jsn"], "unknown option '--jsn' (Did you mean --json?)", "errand whoami --help"],
		[["task", "list", "--json", "--quiet"], "cannot be used with", "errand task list --help"],
	])("%j is a usage error that says what next", async (words, sentence, next) => {
		const { status, err } = await desk.type(words);
		expect(err).toContain(sentence);
		if (!words.includes("--json")) expect(err).toContain(`next: ${next}\n`);
		expect(status).toBe(exitCodes.usage.status);
	});
});

describe("an endpoint of this machine", () => {
	test("configure writes a private directory once, and typed again changes nothing", async () => {
		await configure();
		const directory = join(openHome(desk.environment).endpoints, "local");
		const credentials = join(directory, "credentials.json");
		expect(statSync(directory).mode & 0o777).toBe(0o700);
		expect(statSync(credentials).mode & 0o777).toBe(0o600);
		expect(JSON.parse(readFileSync(credentials, "utf8"))).toEqual({
			cloud_url: desk.cloud.url,
			endpoint_id: ids.endpoint,
			client_id: ids.group,
			client_secret: "endpoint-secret",
			token_endpoint: `${desk.cloud.url}/token`,
		});
		const before = readFileSync(credentials, "utf8");
		await configure();
		expect(readFileSync(credentials, "utf8")).toBe(before);
		expect(desk.cloud.requests.filter((request) => request.endsWith("/key"))).toHaveLength(1);
		expect(desk.cloud.requests.filter((request) => request === "POST /v3/endpoints")).toHaveLength(1);
	});

	const settings = (name: string): string =>
		readFileSync(join(openHome(desk.environment).endpoints, name, "config.yaml"), "utf8");

	test("NEW-10: the name of a site takes its settings; what only the person knows is asked, Enter takes the rest", async () => {
		const asked: string[] = [];
		const answers = ["", "two", "", ""];
		const ask = async (question: string): Promise<string> => {
			asked.push(question);
			return answers.shift() as string;
		};
		const { status, err } = await desk.type(["endpoint", "configure", "polaris"], { attended: true, ask });
		expect(status, err).toBe(0);
		expect(asked).toEqual([
			"Project that pays (or one, two): ",
			"Project that pays (or one, two): ",
			"Queue (or prod) [debug]: ",
		]);
		expect(settings("polaris")).toContain("--site polaris --set account=two --set queue=debug");
		expect(err).toContain("Next: errand endpoint doctor polaris --canary");
	});

	test("NEW-10: with flags nothing is asked; without them and without a person it says what is missing, and leaves nothing", async () => {
		const alone = await desk.type(["endpoint", "configure", "here", "--site", "polaris"]);
		expect(alone.status).toBe(exitCodes.usage.status);
		expect(alone.err).toContain("account (Project that pays; one; two)");
		expect(alone.err).toContain("--account …");
		expect(desk.cloud.requests).toEqual([]);
		const words = [
			"--site",
			"polaris",
			"--account",
			"one",
			"--queue",
			"prod",
			"--set",
			"max_blocks=3",
			"--set",
			"qos=x",
		];
		expect((await desk.type(["endpoint", "configure", "here", ...words])).status).toBe(0);
		expect(settings("here")).toContain(
			"--site polaris --set max_blocks=3 --set qos=x --set account=one --set queue=prod",
		);
	});

	test("a configuration that is there is not overwritten, and an answer that makes no sense registers nothing", async () => {
		const wrong = await desk.type(["endpoint", "configure", "here", "--walltime", "soon"]);
		expect(wrong.status).toBe(exitCodes.usage.status);
		expect(wrong.err).toContain("walltime: a time");
		expect(desk.cloud.requests).toEqual([]);
		await configure();
		const again = await desk.type(["endpoint", "configure", "local", "--set", "max_blocks=2"]);
		expect(again.status).toBe(exitCodes.conflict.status);
		expect(again.err).toContain("is there already");
	});

	test("start --detach returns when it is online, a second start is refused, stop leaves no process", async () => {
		await configure();
		const started = await desk.type(["endpoint", "start", "local", "--detach", "--json"]);
		expect(started.status, started.err).toBe(0);
		const { pid } = JSON.parse(started.out) as { pid: number };
		const again = await desk.type(["endpoint", "start", "local", "--detach"]);
		expect(again.status).toBe(exitCodes.conflict.status);
		expect(again.err).toContain(`is running already (process ${pid})`);
		expect((await desk.type(["endpoint", "delete", "local", "--yes"])).status).toBe(exitCodes.conflict.status);
		expect((await desk.type(["endpoint", "stop", "local", "--json"])).out).toContain('"how": "ended"');
		// It is a child of this very process, which collects it a moment after its end.
		await expect.poll(() => isThere(pid)).toBe(false);
	});

	test("a daemon that ends at once is told with the end of its log", async () => {
		await configure();
		desk.environment.TEST_ENDPOINT_FAILS = "1";
		const { status, err } = await desk.type(["endpoint", "start", "local", "--detach"]);
		expect(status).toBe(exitCodes.failed.status);
		expect(err).toContain("error cannot reach the broker url=amqp://x");
		expect(err).toContain("next: errand endpoint doctor local");
	});

	test("in the foreground it ends with Ctrl-C, and that is a success", async () => {
		await configure();
		const stop = new AbortController();
		const record = join(openHome(desk.environment).endpoints, "local", "process.json");
		const typed = desk.type(["endpoint", "start", "local", "--json"], { signal: stop.signal });
		await expect.poll(() => desk.cloud.requests.includes("POST /test/online"), { timeout: 20_000 }).toBe(true);
		expect(readProcessRecord(record)).toBeDefined();
		stop.abort(new Error("SIGINT"));
		const { status, out } = await typed;
		expect(status).toBe(0);
		expect(
			out
				.split("\n")
				.filter(Boolean)
				.map((line) => (JSON.parse(line) as { state: string }).state),
		).toEqual(["started", "stopped"]);
		expect(existsSync(record)).toBe(false);
	});

	test("a name cannot leave its folder", async () => {
		for (const name of ["../x", "a/b", ".hidden", "a b"])
			expect((await desk.type(["endpoint", "configure", name])).status).toBe(exitCodes.usage.status);
		expect(desk.cloud.requests).toEqual([]);
	});

	test("delete asks for the name unless --yes", async () => {
		await configure();
		const kept = await desk.type(["endpoint", "delete", "local"], { ask: async () => "other" });
		expect(kept.err).toContain("nothing was deleted");
		const gone = await desk.type(["endpoint", "delete", "local"], { ask: async () => "local" });
		expect(gone.status).toBe(0);
		expect(existsSync(join(openHome(desk.environment).endpoints, "local"))).toBe(false);
	});
});

describe("errand globus-env", () => {
	test("what is printed is for a shell: a slash behind the address, and no service client but the one that was made", async () => {
		const person = await desk.type(["globus-env", "--user-dir", "my files"]);
		expect(person.out.split("\n")).toEqual([
			"unset GLOBUS_COMPUTE_CLIENT_ID GLOBUS_COMPUTE_CLIENT_SECRET",
			"export GLOBUS_SDK_ENVIRONMENT=local",
			`export GLOBUS_SDK_SERVICE_URL_AUTH=${desk.cloud.url}/`,
			`export GLOBUS_COMPUTE_USER_DIR='${join(desk.directory, "my files")}'`,
			"",
		]);
		const service = await desk.type(["globus-env", "--client", "nightly", "--quiet"]);
		expect(service.out).toContain(
			`GLOBUS_COMPUTE_CLIENT_ID=${ids.group}\nGLOBUS_COMPUTE_CLIENT_SECRET=client-secret\n`,
		);
		expect(desk.cloud.bodies.at(-1)).toEqual({ name: "nightly" });
	});

	test("a service client is made at the cloud that one is logged in to, and what contradicts itself is refused", async () => {
		const other = await desk.type([
			"globus-env",
			"--client",
			"x",
			"--cloud",
			desk.cloud.url.replace("127.0.0.1", "localhost"),
		]);
		expect(other).toMatchObject({ status: exitCodes.forbidden.status, out: "" });
		expect((await desk.type(["globus-env", "--client", "x", "--login"])).err).toContain("exclude each other");
		expect((await desk.type(["globus-env", "--approve-as", "ada"])).err).toContain("goes with --login");
		expect(desk.cloud.bodies).toEqual([]);
	});

	test("a login that brings nothing to keep is refused, and nothing is written", async () => {
		const { status, err } = await desk.type(["globus-env", "--login", "--user-dir", "files"]);
		expect(status).toBe(exitCodes.unreachable.status);
		expect(err).toContain("ABCD-EFGH");
		expect(err).toContain("lacks what Globus Compute keeps");
		expect(existsSync(join(desk.directory, "files"))).toBe(false);
	});
});

describe("a cloud of this machine", () => {
	test("start --detach, status, start again, stop", async () => {
		await startCloudHere();
		expect((await desk.type(["cloud", "start", "--detach"])).status).toBe(0);
		expect((await desk.type(["cloud", "status", "-q"])).out).toBe("ready\n");
		expect((await desk.type(["cloud", "start", "--detach"])).err).toContain("is running already at");
		expect((await desk.type(["cloud", "stop", "--json"])).out).toContain('"how": "ended"');
		expect((await desk.type(["cloud", "status"])).status).toBe(exitCodes.unreachable.status);
	});

	test("a taken port is told with who has it", async () => {
		desk.environment.ERRAND_CLOUD_PORT = new URL(desk.cloud.url).port;
		const taken = await desk.type(["cloud", "start", "--detach"]);
		expect(taken.status).toBe(exitCodes.conflict.status);
		expect(taken.err).toContain("is taken by another Errand cloud (Errand 0.1.0)");
		desk.cloud.intercept = () => ({ body: { hello: "world" } });
		const foreign = await desk.type(["cloud", "start", "--detach"]);
		expect(foreign.err).toContain("is taken by another program");
		expect(foreign.err).toContain("ERRAND_CLOUD_PORT=");
	});

	test("one that ends at once is told with what it wrote, and with nothing older", async () => {
		await startCloudHere();
		desk.environment.TEST_ATTEMPT = "first";
		await desk.type(["cloud", "start", "--detach"]);
		await desk.type(["cloud", "stop"]);
		desk.environment.TEST_ATTEMPT = "second";
		desk.environment.TEST_CLOUD_FAILS = "1";
		const { status, err } = await desk.type(["cloud", "start", "--detach"]);
		expect(status).toBe(exitCodes.failed.status);
		expect(err).toContain("the disk is full");
		expect(err).toContain("attempt=second");
		expect(err).not.toContain("attempt=first");
	});

	test("the broker's port may be taken too, and a port is a number", async () => {
		await startCloudHere();
		desk.environment.ERRAND_CLOUD_AMQP_PORT = new URL(desk.cloud.url).port;
		const taken = await desk.type(["cloud", "start", "--detach"]);
		expect(taken.status).toBe(exitCodes.conflict.status);
		expect(taken.err).toContain("for the embedded AMQP broker, is taken");
		expect(taken.err).toContain("ERRAND_CLOUD_AMQP_PORT=");
		desk.environment.ERRAND_CLOUD_PORT = "abc";
		const wrong = await desk.type(["cloud", "start", "--detach"]);
		expect(wrong.status).toBe(exitCodes.usage.status);
		expect(wrong.err).toContain('ERRAND_CLOUD_PORT is "abc"');
	});

	test("user add takes the password from stdin, or asks twice", async () => {
		const piped = await desk.type(["cloud", "user", "add", "grace", "--password-stdin"], {
			readInput: async () => "correct horse battery\n",
		});
		expect(piped.status, piped.err).toBe(0);
		expect(desk.cloud.bodies.at(-1)).toMatchObject({ username: "grace", password: "correct horse battery" });
		const answers = ["correct horse battery", "something else"];
		const asked = await desk.type(["cloud", "user", "add", "grace"], { ask: async () => answers.shift() ?? "" });
		expect(asked.err).toContain("the two passwords differ");
	});
});

describe("authentication policies", () => {
	test("are shown with what they ask for, and change in what is named only", async () => {
		const shown = await desk.type(["policy", "show", "staff"]);
		expect(shown.out).toMatch(/lets in +uni\.edu, \*\.lab\.org\nlogin of the last +15 min\nendpoints +1\n/);
		const changed = await desk.type(["policy", "change", "staff", "--max-age", "2h", "--drop", "include", "--json"]);
		expect(JSON.parse(changed.out)).toMatchObject({
			domain_constraints_include: null,
			domain_constraints_exclude: null,
			authentication_assurance_timeout: 7200,
		});
	});

	test("one that asks for nothing is refused before the cloud is asked, and so is a domain that is none", async () => {
		expect(await desk.type(["policy", "create", "open"])).toMatchObject({
			status: exitCodes.usage.status,
			err: expect.stringContaining("--include, --exclude or --max-age"),
		});
		const none = await desk.type(["policy", "show", "nobody"]);
		expect(none).toMatchObject({ status: notFound, err: expect.stringContaining("next: errand policy list") });
	});
});

test("login prints where to confirm, and stores the tokens for its owner only", async () => {
	delete desk.environment.ERRAND_TOKEN;
	const { status, out, err } = await desk.type(["login", "--cloud", desk.cloud.url]);
	expect(status, err).toBe(0);
	expect(err).toContain(`${desk.cloud.url}/device`);
	expect(err).toContain("ABCD-EFGH");
	expect(out).toBe(`Logged in to ${desk.cloud.url} as ada.\n`);
	expect(out + err).not.toContain("secret-device-code");
	expect(statSync(join(desk.environment.ERRAND_HOME as string, "credentials.json")).mode & 0o777).toBe(0o600);
	expect((await desk.type(["logout"])).out).toBe(`Logged out of ${desk.cloud.url}.\n`);
	expect((await desk.type(["whoami"])).status).toBe(exitCodes.forbidden.status);
});
