/** The manager's decisions, with processes of the test's own (`sleep`) in the place of user endpoints. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { Fault, newId } from "@errand/proto";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { LocalAccount } from "../multiuser/local-account.ts";
import { silentLogger } from "../service/logger.ts";
import { processStart } from "../service/process-identity.ts";
import { type AuditLog, openAuditLog } from "./audit-log.ts";
import type { ChildLine } from "./child-line.ts";
import type { LaunchRequest, UserProcess } from "./launch.ts";
import { parseManagerConfig } from "./manager-config.ts";
import { startCommandFor } from "./spawner.test-harness.ts";
import { decodeStartMessage } from "./start-message.ts";
import { readStartRequest, type StartRequest } from "./start-request.ts";
import { UserEndpoints } from "./user-endpoints.ts";

interface Started {
	readonly child: ChildProcess;
	readonly request: LaunchRequest;
	say(line: ChildLine | string): void;
}

const manager = newId();
const { username, uid, gid, homedir } = userInfo();
const account: LocalAccount = { uname: username, uid, gid, gecos: "", dir: homedir, shell: "/bin/sh", groups: [gid] };

let directory: string;
let audit: AuditLog;
let started: Started[];
let told: { id: string; words: string; transient: boolean }[];
let nowMs: number;

beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "errand-spawner-"));
	writeFileSync(join(directory, "user_config_template.yaml.j2"), "max_blocks: 1\n", { mode: 0o600 });
	nowMs = Date.now();
	audit = openAuditLog(directory, () => nowMs, silentLogger);
	started = [];
	told = [];
});
afterEach(async () => {
	for (const { child } of started) child.kill("SIGKILL");
	await Promise.all(
		started.map(({ child }) => vi.waitFor(() => expect(child.signalCode ?? child.exitCode).not.toBe(null))),
	);
	await audit.written();
	rmSync(directory, { recursive: true, force: true });
});

async function launchSleep(request: LaunchRequest): Promise<UserProcess> {
	const child = spawn("sleep", ["600"], { stdio: "ignore" });
	await new Promise((resolve) => child.once("spawn", resolve));
	const ended = new Promise<{ status: number | null; signal: string | null }>((resolve) =>
		child.once("exit", (status, signal) => {
			closeSync(request.line);
			resolve({ status, signal });
		}),
	);
	started.push({
		child,
		request,
		say: (line) => writeSync(request.line, `${typeof line === "string" ? line : JSON.stringify(line)}\n`),
	});
	const pid = child.pid as number;
	return { pid, start: processStart(pid), ended, earlyWords: () => "" };
}

interface Options {
	readonly refuse?: Fault;
	readonly accountFor?: () => LocalAccount;
	readonly launch?: (request: LaunchRequest) => Promise<UserProcess>;
}

const users = (config = "", options: Options = {}): UserEndpoints =>
	new UserEndpoints({
		directory,
		managerId: manager,
		config: parseManagerConfig(config, "config.yaml"),
		program: "endpoint.mjs",
		accounts: {
			accountFor: async () => {
				if (options.refuse) throw options.refuse;
				return { account: options.accountFor?.() ?? account, mappedIdentityId: "of-ada" };
			},
			close: () => undefined,
		},
		audit,
		tellFailure: async ({ userEndpointId: id }, { error, transient }) =>
			void told.push({ id, words: error, transient }),
		changed: () => undefined,
		nowMs: () => nowMs,
		log: silentLogger,
		launch: options.launch ?? launchSleep,
	});
const asking = (user: string, clientId?: string): StartRequest =>
	readStartRequest(startCommandFor(manager, user, clientId === undefined ? {} : { clientId }), manager);
const auditLines = async (): Promise<Record<string, unknown>[]> => {
	await audit.written();
	const text = readFileSync(join(directory, "audit.log"), "utf8");
	return text
		.trim()
		.split("\n")
		.map((line) => JSON.parse(line));
};
const nth = (at: number): Started => started[at] as Started;
const eventually = (assert: () => void | Promise<void>): Promise<void> =>
	vi.waitFor(assert, { timeout: 10_000, interval: 10 });

test("GC-9: a command that is repeated starts one process; two user endpoints are two", async () => {
	const endpoints = users();
	const [one, two] = [asking(newId()), asking(newId())];
	await Promise.all([endpoints.start(one, nowMs), endpoints.start(one, nowMs), endpoints.start(two, nowMs)]);
	await endpoints.start(one, nowMs);
	expect(started.length).toBe(2);
	expect(endpoints.ids.sort()).toEqual([one.userEndpointId, two.userEndpointId].sort());
	expect(decodeStartMessage(nth(0).request.message)).toMatchObject({
		manager_id: manager,
		credentials: { client_secret: "a secret" },
		template: { text: "max_blocks: 1\n" },
	});
	await endpoints.endAll();
});

test("GC-9: saying again that it is up does not keep the manager writing, nor put off its end", async () => {
	const endpoints = users();
	const user = newId();
	await endpoints.start(asking(user), nowMs);
	const file = join(directory, "user-endpoints", `${user}.json`);
	const writtenAt = (): bigint => statSync(file, { bigint: true }).mtimeNs;
	nth(0).say({ says: "rendered" });
	nth(0).say({ says: "running" });
	await eventually(() =>
		expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({ rendered: true, running: true }),
	);
	const before = writtenAt();
	nth(0).say({ says: "rendered" });
	nth(0).say({ says: "running" });
	nth(0).say({ says: "lost", lines: 3 });
	await eventually(async () => expect(await auditLines()).toContainEqual(expect.objectContaining({ lines: 3 })));
	expect(writtenAt()).toBe(before);
	await endpoints.endAll();
});

test("GC-9: a command with a new key that comes while the process lives is kept until it has ended", async () => {
	const endpoints = users();
	const user = newId();
	await endpoints.start(asking(user), nowMs);
	nth(0).say({ says: "rendered" });
	nth(0).say({ says: "running" });
	const again = asking(user);
	await endpoints.start(again, nowMs);
	expect(started.length).toBe(1);
	nth(0).child.kill("SIGTERM");
	await eventually(() => expect(started.length).toBe(2));
	expect(decodeStartMessage(nth(1).request.message).credentials.client_id).toBe(again.credentials.client_id);
	expect(told).toEqual([]);
	await endpoints.endAll();
});

test("GC-9: a command that comes late with an earlier key ends nothing and starts nothing, under the next manager too", async () => {
	const user = newId();
	const [earlier, later] = [asking(user), asking(user)];
	const endpoints = users();
	await endpoints.start(later, nowMs);
	nth(0).say({ says: "rendered" });
	nth(0).say({ says: "running" });
	const late = async (manager: UserEndpoints): Promise<void> => {
		await manager.start(earlier, nowMs - 1000);
		// It is not kept for later either.
		await manager.start(later, nowMs + 5000);
	};
	await late(endpoints);
	endpoints.letGo();
	const after = users();
	after.adopt();
	await late(after);
	nth(0).child.kill("SIGTERM");
	await eventually(() => expect(after.count).toBe(0));
	await after.start(earlier, nowMs - 1000);
	expect(started.length).toBe(1);
	expect(told).toEqual([]);
	// Nor does a clock that was wrong keep the right one out.
	await after.start(asking(user), nowMs + 3_600_000);
	expect(told).toMatchObject([{ words: expect.stringContaining("this machine's clock"), transient: true }]);
	// A command of the same second may be a newer one.
	await after.start(asking(user), nowMs);
	expect(started.length).toBe(2);
	await after.endAll();
});

test("GC-9: more at once than max_user_endpoints, a stale command, and who is not served are told why", async () => {
	const limited = users("max_user_endpoints: 1");
	await limited.start(asking(newId()), nowMs);
	await limited.start(asking(newId()), nowMs);
	expect(told.at(-1)?.words).toContain("as many user endpoints as it may (1)");
	await limited.endAll();
	const stale = users();
	await stale.start(asking(newId()), nowMs - 200_000);
	expect(told.at(-1)?.words).toContain("200 s off this machine's clock");
	await users("", { refuse: new Fault("SEMANTICALLY_INVALID", "nobody knows you") }).start(asking(newId()), nowMs);
	expect(told.at(-1)?.words).toBe("nobody knows you");
	expect(told.map(({ transient }) => transient)).toEqual([true, true, false]);
	expect(started.length).toBe(1);
	expect((await auditLines()).filter(({ event }) => event === "refuse").length).toBe(3);
});

test("GC-9: one account has at most max_user_endpoints_per_account, however they come; others have theirs", async () => {
	let uid = account.uid;
	const endpoints = users("max_user_endpoints_per_account: 2", { accountFor: () => ({ ...account, uid }) });
	await Promise.all([1, 2, 3].map(() => endpoints.start(asking(newId()), nowMs)));
	expect(started.length).toBe(2);
	expect(told).toMatchObject([{ words: expect.stringContaining("as one account may (2)"), transient: true }]);
	uid++;
	await endpoints.start(asking(newId()), nowMs);
	expect(started.length).toBe(3);
	endpoints.letGo();
	uid--;
	const after = users("max_user_endpoints_per_account: 2", { accountFor: () => ({ ...account, uid }) });
	after.adopt();
	await after.start(asking(newId()), nowMs);
	expect(told.length).toBe(2);
	nth(0).child.kill("SIGTERM");
	await eventually(() => expect(after.count).toBe(2));
	await after.start(asking(newId()), nowMs);
	expect(started.length).toBe(4);
	await after.endAll();
	const unlimited = users("max_user_endpoints_per_account: 0");
	await Promise.all(Array.from({ length: 9 }, () => unlimited.start(asking(newId()), nowMs)));
	expect(started.length).toBe(13);
	await unlimited.endAll();
});

test("GC-9: a process that is being started when all are ended is ended with them", async () => {
	const launching = Promise.withResolvers<void>();
	const goOn = Promise.withResolvers<void>();
	const endpoints = users("", {
		launch: async (request) => {
			launching.resolve();
			await goOn.promise;
			return await launchSleep(request);
		},
	});
	const starting = endpoints.start(asking(newId()), nowMs);
	await launching.promise;
	const ended = endpoints.endAll();
	goOn.resolve();
	await ended;
	expect(nth(0).child.signalCode).toBe("SIGTERM");
	await starting;
	expect((await auditLines()).map(({ event }) => event)).toEqual(["start", "end"]);
	expect(endpoints.count).toBe(0);
	expect(told).toEqual([]);
});

test("GC-9: a process that is being started when they are let go goes on, and the next manager has it", async () => {
	const goOn = Promise.withResolvers<void>();
	const endpoints = users("", {
		launch: async (request) => {
			await goOn.promise;
			return await launchSleep(request);
		},
	});
	const request = asking(newId());
	const starting = endpoints.start(request, nowMs);
	// Its account is looked up before.
	await new Promise((resolve) => setImmediate(resolve));
	endpoints.letGo();
	goOn.resolve();
	await starting;
	const after = users();
	after.adopt();
	expect(after.ids).toEqual([request.userEndpointId]);
	await after.endAll();
	expect(nth(0).child.signalCode).toBe("SIGTERM");
});

test("GC-9: files of the manager's that have a fault are its administrator's to read of, not the submitter's", async () => {
	writeFileSync(join(directory, "user_config_schema.json"), "{}", { mode: 0o666 });
	rmSync(join(directory, "user_config_template.yaml.j2"));
	await users().start(asking(newId()), nowMs);
	expect(told.at(-1)?.words).toContain("have a fault, which its log names: ask its administrator");
	expect(told.at(-1)?.words).not.toContain(directory);
	expect(told.at(-1)?.transient).toBe(true);
});

test("GC-9: a process that says why it failed, or takes too long over its template, is told to who asked", async () => {
	const endpoints = users("start_limit: 1s");
	await endpoints.start(asking(newId()), nowMs);
	nth(0).say({ says: "failed", words: "label must be string" });
	nth(0).child.kill("SIGTERM");
	await eventually(() => expect(told).toMatchObject([{ words: "label must be string", transient: false }]));
	await endpoints.start(asking(newId()), nowMs);
	await eventually(() => expect(told.at(-1)?.words).toContain("took longer than 1 s"));
	expect(nth(1).child.signalCode).toBe("SIGKILL");
});

test("GC-9: a user endpoint that dies under its tasks is started again, but not for ever", async () => {
	const endpoints = users();
	await endpoints.start(asking(newId()), nowMs);
	for (let death = 0; death < 4; death++) {
		await eventually(() => expect(started.length).toBe(death + 1));
		nth(death).say({ says: "running" });
		nth(death).child.kill("SIGKILL");
	}
	await eventually(() => expect(endpoints.count).toBe(0));
	expect(started.length).toBe(4);
	expect(told).toEqual([]);
});

test("GC-9: the audit log says what the manager knows, whatever a process claims; nonsense is counted", async () => {
	const endpoints = users();
	const request = asking(newId());
	await endpoints.start(request, nowMs);
	const [task, functionId] = [newId(), newId()];
	nth(0).say(
		JSON.stringify({ says: "accepted", task, function: functionId, username: "root", uid: 0, account: "root" }),
	);
	nth(0).say("{}");
	nth(0).say(`{"says":"ended","task":"${task}","state":"${"x".repeat(20_000)}"}`);
	nth(0).say({ says: "ended", task, function: functionId, state: "success" });
	await eventually(async () =>
		expect(await auditLines()).toContainEqual(expect.objectContaining({ event: "task-ended", state: "success" })),
	);
	const lines = await auditLines();
	for (const line of lines)
		expect(line).toMatchObject({ username: "ada", account: username, uid, pid: nth(0).child.pid });
	expect(lines.find(({ event }) => event === "task-accepted")).toMatchObject({
		task_id: task,
		function_id: functionId,
	});
	expect(
		lines.filter(({ event }) => event === "lines-lost").reduce((sum, { lines: lost }) => sum + Number(lost), 0),
	).toBe(2);
	await endpoints.endAll();
});

test("GC-9: an account's lines beyond its share of an hour are counted, and take nothing from other accounts", async () => {
	let uid = account.uid;
	const endpoints = users("audit_lines_per_hour: 1000", { accountFor: () => ({ ...account, uid }) });
	await endpoints.start(asking(newId()), nowMs);
	uid++;
	await endpoints.start(asking(newId()), nowMs);
	const task = newId();
	const lines = (of: number, event: string) => async () =>
		(await auditLines()).filter((line) => line.event === event && line.uid === account.uid + of);
	// What is not read yet may fill the pipe.
	for (let line = 0; line < 1_500; line++)
		await eventually(() => nth(0).say({ says: "accepted", task, function: task }));
	await eventually(() => nth(0).say("nonsense"));
	await eventually(async () => expect(await lines(0, "lines-lost")()).toMatchObject([{ lines: 1 }]));
	nth(1).say({ says: "accepted", task, function: task });
	await eventually(async () => expect(await lines(1, "task-accepted")()).toHaveLength(1));
	nth(0).say({ says: "idle" });
	nth(0).child.kill("SIGTERM");
	await eventually(async () => expect(await lines(0, "end")()).toHaveLength(1));
	expect(await lines(0, "task-accepted")()).toHaveLength(1_000);
	expect(await lines(0, "lines-lost")()).toMatchObject([{ lines: 1 }, { lines: 500 }]);
	nowMs += 3_600_000;
	uid--;
	await endpoints.start(asking(newId()), nowMs);
	nth(2).say({ says: "accepted", task, function: task });
	await eventually(async () => expect(await lines(0, "task-accepted")()).toHaveLength(1_001));
	await endpoints.endAll();
});

test("GC-9: the next manager adopts what lives, forgets what has ended, and reads on", async () => {
	const before = users();
	const [living, dead] = [asking(newId()), asking(newId())];
	await before.start(living, nowMs);
	await before.start(dead, nowMs);
	nth(0).say({ says: "rendered" });
	nth(0).say({ says: "running" });
	await eventually(() =>
		expect(readFileSync(join(directory, "user-endpoints", `${living.userEndpointId}.json`), "utf8")).toContain(
			'"running":true',
		),
	);
	before.letGo();
	nth(1).child.kill("SIGKILL");
	await eventually(() => expect(nth(1).child.signalCode).toBe("SIGKILL"));
	const after = users();
	after.adopt();
	expect(after.ids).toEqual([living.userEndpointId]);
	const task = newId();
	nth(0).say({ says: "started", task });
	await eventually(async () =>
		expect((await auditLines()).at(-1)).toMatchObject({ event: "task-started", task_id: task }),
	);
	await after.endAll();
	await eventually(() => expect(nth(0).child.signalCode).toBe("SIGTERM"));
	const ends = (await auditLines()).filter(({ event }) => event === "end");
	expect(ends.map(({ reason }) => reason)).toEqual(["while no manager ran", "the manager was stopped"]);
});

test("GC-9: a process whose line is lost is adopted all the same: the log and the audit log say so, and it can be ended", async () => {
	const before = users("start_limit: 1s");
	const request = asking(newId());
	await before.start(request, nowMs);
	before.letGo();
	rmSync(join(directory, "user-endpoints", `${request.userEndpointId}.pipe`));
	const after = users("start_limit: 1s");
	after.adopt();
	expect(after.ids).toEqual([request.userEndpointId]);
	expect((await auditLines()).at(-1)).toMatchObject({ event: "adopt", unheard: true });
	const again = asking(request.userEndpointId);
	await after.start(again, nowMs);
	expect(nth(0).child.signalCode).toBe(null);
	nth(0).child.kill("SIGTERM");
	await eventually(() => expect(started.length).toBe(2));
	await after.endAll();
});

test("GC-9: a number that the system has given to somebody else since is no process of ours", async () => {
	const before = users();
	const request = asking(newId());
	await before.start(request, nowMs);
	before.letGo();
	const path = join(directory, "user-endpoints", `${request.userEndpointId}.json`);
	const record = JSON.parse(readFileSync(path, "utf8"));
	writeFileSync(path, JSON.stringify({ ...record, pid: process.pid }));
	const after = users();
	after.adopt();
	expect(after.ids).toEqual([]);
});
