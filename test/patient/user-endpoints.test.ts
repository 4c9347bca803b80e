/** A manager endpoint that is root's, with real accounts of this machine under it. */
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Client, type Executor, python, shell } from "@errand/sdk";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { TestCloud } from "../harness/cloud.ts";
import { TestAccount } from "../harness/local-account.ts";
import { type AuditLine, ManagerEndpoint, ReadableProgram } from "../harness/manager-endpoint.ts";

const template = `heartbeat_period: 5s
workers_per_node: 1
cores_per_node: 1
display_name: {{ label | default("nobody said") }}
idle_shutdown: {{ idle | default("10m") }}
environment:
  LABEL: {{ label | default("none") }}
{% if loops %}{% for i in range(1000000) %}{% for j in range(1000000) %}{% endfor %}{% endfor %}{% endif %}
{% if account %}partition: {{ a_value_that_nobody_gave }}{% endif %}
{% include "more.yaml" %}
`;
/** Of a daemon that the cloud does not know any more. */
const exitForbidden = 77;
const schema = { type: "object", properties: { label: { type: "string" }, idle: { type: "string" } } };

let program: ReadableProgram;
let cloud: TestCloud;
let manager: ManagerEndpoint;
let ada: { token: string; client: Client; local: TestAccount };
let bob: { token: string; local: TestAccount };
const executors: Executor[] = [];

const userDirectory = ({ local }: { local: TestAccount }, id: string): string =>
	join(local.home, ".errand", "endpoints", `uep.${manager.id}.${id}`);
const executorOf = ({ token }: { token: string }, config: Record<string, unknown> = {}): Executor => {
	const executor = manager.executor(token, config);
	executors.push(executor);
	return executor;
};
/** Resolves with the first line of the audit log that fits, past or to come. */
const audited = (what: Partial<AuditLine>, after = 0): Promise<AuditLine> =>
	vi.waitFor(
		() => {
			const found = manager.audit
				.slice(after)
				.find((line) => Object.entries(what).every(([name, value]) => line[name as keyof AuditLine] === value));
			if (found === undefined) throw new Error(`the audit log has no ${JSON.stringify(what)}`);
			return found;
		},
		{ timeout: 30_000, interval: 50 },
	);

beforeAll(async () => {
	if (process.geteuid?.() !== 0) throw new Error("these tests make accounts of this machine: run them as root");
	[program, cloud] = await Promise.all([ReadableProgram.make(), TestCloud.start()]);
	const owner = await cloud.login("owner");
	ada = { ...(await cloud.login("ada")), local: new TestAccount(2) };
	bob = { token: (await cloud.login("bob")).token, local: new TestAccount() };
	const mappings = [
		{ source: "{username}", match: "ada", output: ada.local.name },
		{ source: "{username}", match: "bob", output: bob.local.name },
		{ source: "{username}", match: "eve", output: "root" },
		{ source: "{username}", match: "mallory", output: "nobody" },
		{ source: "{username}", match: "carol", output: "errand-test-nobody-has-it" },
	];
	manager = await ManagerEndpoint.configure(cloud, owner.client, program, {
		files: {
			"config.yaml": "start_limit: 4s\nheartbeat_period: 5s\ngrace_period: 15s\n",
			"user_config_template.yaml.j2": template,
			"user_config_schema.json": JSON.stringify(schema),
			"more.yaml": "log_level: debug\n",
			"user_environment.yaml": "SITE_SCRATCH: /scratch/site\n",
			"identity_mapping.json": JSON.stringify([{ DATA_TYPE: "expression_identity_mapping#1.0.0", mappings }]),
		},
	});
	await manager.start({ A_SECRET_OF_ROOT: "do not tell" });
}, 120_000);
afterEach(async () => {
	for (const executor of executors.splice(0)) await executor.close();
});
afterAll(async () => {
	if (manager !== undefined && !manager.process.ended) await manager.stop();
	for (const one of [ada, bob]) one?.local.remove();
	await cloud?.stop();
	program?.remove();
});

const look = shell(
	"id -u; id -g; id -G; umask; cat /proc/self/status; echo --; ls -l /proc/self/fd; echo --; env; echo --; cat /proc/self/mounts >/dev/null",
	{ name: "look" },
);
const label = shell('echo "$LABEL"');
const lastId = (username: string): string =>
	manager.audit.findLast((line) => line.event === "start" && line.username === username)?.user_endpoint_id ?? "";
/** The daemon of the user endpoint that was started last for somebody. */
const lastPid = (username: string): number =>
	manager.audit.findLast((line) => line.event === "start" && line.username === username)?.pid ?? 0;

describe("user endpoints of several accounts", { timeout: 120_000 }, () => {
	test("GC-9: each identity's tasks run as its own account, with its groups, no capabilities, no way to more and a clean environment", async () => {
		const outputs = await Promise.all([ada, bob].map((one) => executorOf(one).submit(look)));
		for (const [at, { local }] of [ada, bob].entries()) {
			const [ids = "", descriptors = "", environment = ""] = (outputs[at]?.stdout ?? "").split("\n--\n");
			const [uid, gid, groups = "", umask] = ids.split("\n");
			expect([uid, gid, umask]).toEqual([String(local.uid), String(local.gid), "0077"]);
			expect(groups.split(" ").map(Number).sort()).toEqual([local.gid, ...local.groupIds].sort());
			for (const line of ids.split("\n").filter((line) => /^(Uid|Gid|Cap|NoNewPrivs)/.test(line))) {
				const [name = "", ...values] = line.split(/[:\s]+/);
				const expected = { Uid: local.uid, Gid: local.gid, NoNewPrivs: 1 }[name] ?? 0;
				expect([name, ...new Set(values.map((value) => Number(value)))]).toEqual([name, expected]);
			}
			expect(descriptors).not.toContain("/user-endpoints/");
			const names = environment.split("\n").map((line) => line.split("=")[0] ?? "");
			const ours = /^(ERRAND_(?!HOME|CLOUD)\w+|PWD|OLDPWD|SHLVL|_)$/;
			const expected = ["HOME", "LABEL", "LANG", "LOGNAME", "PATH", "SHELL", "SITE_SCRATCH", "USER"];
			expect(names.filter((name) => !ours.test(name)).sort()).toEqual(expected);
			expect(environment).toContain(`HOME=${local.home}\n`);
		}
	});

	test("GC-9: what a user endpoint keeps is its account's alone, and its secrets are nowhere else", async () => {
		await executorOf(ada).submit(label);
		const directory = userDirectory(ada, lastId("ada"));
		for (const [path, mode] of [
			[directory, 0o40700],
			[join(ada.local.home, ".errand"), 0o40700],
			[join(directory, "config.yaml"), 0o100600],
			[join(directory, "credentials.json"), 0o100600],
			[join(directory, "endpoint.log"), 0o100600],
		] as const) {
			const { uid, gid, mode: found } = statSync(path);
			expect([path, uid, gid, found.toString(8)]).toEqual([path, ada.local.uid, ada.local.gid, mode.toString(8)]);
		}
		const { client_secret: secret } = JSON.parse(readFileSync(join(directory, "credentials.json"), "utf8"));
		const pid = lastPid("ada");
		for (const file of ["cmdline", "environ"]) {
			const text = readFileSync(`/proc/${pid}/${file}`, "latin1");
			expect(text).not.toContain(secret);
			expect(text).not.toContain("A_SECRET_OF_ROOT");
		}
		expect(readFileSync(join(directory, "endpoint.log"), "utf8")).not.toContain(secret);
		expect(statSync(join(manager.directory, "audit.log")).mode.toString(8)).toBe("100600");
	});

	test("GC-9: the doctor looks at what a manager of root needs: files, dropped rights, a program for all, homes", async () => {
		const checks = await manager.doctor();
		const of = (name: string) => checks.find((check) => check.name === name);
		for (const name of ["config.yaml", "template", "user_environment.yaml", "identity map", "rights", "program"])
			expect(of(name)).toMatchObject({ state: "ok" });
		expect(of(`home of ${ada.local.name}`)).toMatchObject({ state: "ok", says: ada.local.home });
		expect(of("home of root")).toMatchObject({ state: "fault" });
	});

	test("GC-9: the same identity with two configurations has two processes at once", async () => {
		const wait = shell('echo "$LABEL"; sleep 1; echo "$PPID"');
		const [one, two] = await Promise.all([
			executorOf(ada, { label: "one" }).submit(wait),
			executorOf(ada, { label: "two" }).submit(wait),
		]);
		const [first, second] = [one, two].map(({ stdout }) => stdout.split("\n"));
		expect([first?.[0], second?.[0]]).toEqual(["one", "two"]);
		expect(first?.[1]).not.toBe(second?.[1]);
	});

	test("GC-9: a value that tries to become a setting, or a command, stays a value", async () => {
		const evil = 'x"\nworker_init: "touch /tmp/errand-was-here\n{{ 7 * 7 }} $(id)';
		expect((await executorOf(bob, { label: evil }).submit(label)).stdout.trim()).toBe(evil);
		expect(existsSync("/tmp/errand-was-here")).toBe(false);
	});

	test("GC-9: whoever maps to root, nobody, no account or not at all is told whom to ask, and nothing is started", async () => {
		for (const [username, words] of [
			["eve", "nothing runs as root"],
			["mallory", "nothing runs as nobody"],
			["carol", "there is no account of that name"],
			["dan", "ask its administrator to add you to its identity map"],
		] as const) {
			const { token } = await cloud.login(username);
			const before = manager.audit.length;
			await expect(executorOf({ token }).submit(label)).rejects.toThrow(words);
			const lines = manager.audit.slice(before).filter((line) => line.username === username);
			expect(new Set(lines.map(({ event }) => event))).toEqual(new Set(["refuse"]));
		}
	});

	test("GC-9: a template that does not go with the values, or never ends, is told to who asked", async () => {
		await expect(executorOf(bob, { label: 7 }).submit(label)).rejects.toThrow(/label must be string/);
		await expect(executorOf(bob, { account: true }).submit(label)).rejects.toThrow(/uses a value that was not given/);
		await expect(executorOf(bob, { idle: "soon" }).submit(label)).rejects.toThrow(/idle_shutdown/);
		await expect(executorOf(bob, { loops: true }).submit(label)).rejects.toThrow(
			/took longer than 4 s.*ask for something else/,
		);
		const looped = await audited({ event: "end", signal: "SIGKILL", username: "bob" });
		expect(existsSync(`/proc/${looped.pid}`)).toBe(false);
	});

	test("GC-9: a home that its account cannot use, and an account that is gone, are told", async () => {
		const local = new TestAccount();
		try {
			const { token } = await cloud.login("frank");
			const map = join(manager.directory, "identity_mapping.json");
			const [mapper] = JSON.parse(readFileSync(map, "utf8")) as [{ mappings: unknown[] }];
			mapper.mappings.push({ source: "{username}", match: "frank", output: local.name });
			manager.write("identity_mapping.json", JSON.stringify([mapper]));
			await manager.process.line("identity mapping: read again");
			chmodSync(local.home, 0o000);
			await expect(executorOf({ token }, { label: "closed" }).submit(label)).rejects.toThrow(
				/as errand-test.*can't cd to/,
			);
			chmodSync(local.home, 0o700);
			expect((await executorOf({ token }, { label: "frank", idle: "1s" }).submit(label)).stdout).toBe("frank\n");
			await audited({ event: "end", username: "frank", reason: "it had nothing to do" });
			local.forget();
			await expect(executorOf({ token }, { label: "frank", idle: "1s" }).submit(label)).rejects.toThrow(
				"there is no account of that name",
			);
		} finally {
			local.remove();
		}
	});

	test("GC-9: one with nothing to do ends, and is there again for the next task; none is lost between", async () => {
		const executor = executorOf(bob, { idle: "1s", label: "idle" });
		for (let round = 0; round < 2; round++) {
			const after = manager.audit.length;
			expect((await executor.submit(label)).stdout).toBe("idle\n");
			const end = await audited({ event: "end", username: "bob", reason: "it had nothing to do" }, after);
			expect([end.status, end.signal]).toEqual([0, null]);
		}
		// Just when it ends.
		const after = manager.audit.length;
		await executor.submit(label);
		const late: Promise<{ stdout: string }>[] = [];
		const until = performance.now() + 1_800;
		while (performance.now() < until) {
			await new Promise((resolve) => setTimeout(resolve, 300));
			if (manager.audit.slice(after).some(({ event }) => event === "end")) break;
		}
		for (let count = 0; count < 5; count++) late.push(executor.submit(label));
		expect((await Promise.all(late)).map(({ stdout }) => stdout)).toEqual(late.map(() => "idle\n"));
	});

	test("GC-9: after kill -9 of a user endpoint its task goes on, runs once, and its result arrives", async () => {
		const record = join(bob.local.home, "record");
		const executor = executorOf(bob, { label: "killed" });
		const task = executor.submit(shell("echo begun >> {record}; while [ ! -e {go} ]; do sleep 0.1; done; echo done"), {
			record,
			go: `${record}.go`,
		});
		await vi.waitFor(() => expect(existsSync(record)).toBe(true), { timeout: 20_000, interval: 50 });
		const pid = lastPid("bob");
		const after = manager.audit.length;
		process.kill(pid, "SIGKILL");
		const again = await audited({ event: "start", username: "bob" }, after);
		expect(again.pid).not.toBe(pid);
		writeFileSync(`${record}.go`, "");
		expect((await task).stdout).toBe("done\n");
		expect(readFileSync(record, "utf8")).toBe("begun\n");
		expect(await audited({ event: "end", pid }, after)).toMatchObject({ signal: "SIGKILL", status: null });
	});

	test("GC-9: user endpoints outlive a manager that is killed; the next one adopts them and keeps the audit log", async () => {
		const go = join(ada.local.home, "go");
		const executor = executorOf(ada, { label: "adopted" });
		const before = manager.audit.length;
		const task = executor.submit(shell("while [ ! -e {go} ]; do sleep 0.1; done; echo done"), { go });
		await audited({ event: "task-accepted", task_id: await task.accepted }, before);
		const { pid } = await audited({ event: "start", username: "ada" }, before);
		await manager.process.kill();
		writeFileSync(go, "");
		expect((await task).stdout).toBe("done\n");
		const after = manager.audit.length;
		await manager.start();
		expect(await audited({ event: "adopt", pid: pid ?? 0 }, after)).toMatchObject({ account: ada.local.name });
		// What it said while nobody listened.
		await audited({ event: "task-ended", state: "success", task_id: await task.accepted }, after);
		expect((await executor.submit(label)).stdout).toBe("adopted\n");
		expect(manager.audit.slice(after).some(({ event, username }) => event === "start" && username === "ada")).toBe(
			false,
		);
	});

	test("GC-9: the audit log has a line for each start, task and end, with what the manager knows, not what the process says", async () => {
		const after = manager.audit.length;
		const source = `
def forge():
    import glob, json, os
    said = 0
    for path in glob.glob("/proc/[0-9]*/fd/*"):
        try:
            if "user-endpoints" in os.readlink(path):
                os.write(os.open(path, os.O_WRONLY), b"{}")
                said += 1
        except OSError:
            pass
    return said
`;
		const forge = python({ name: "forge", source });
		const task = executorOf(ada, { label: "audited" }).submit(forge);
		expect(await task).toBe(0);
		const id = await task.accepted;
		const ended = await audited({ event: "task-ended", task_id: id }, after);
		const lines = manager.audit.slice(after).filter((line) => line.task_id === id);
		expect(lines.map(({ event }) => event)).toEqual(["task-accepted", "task-started", "task-ended"]);
		for (const line of lines)
			expect(line).toMatchObject({ username: "ada", account: ada.local.name, uid: ada.local.uid, pid: lastPid("ada") });
		expect(ended).toMatchObject({ state: "success", function_id: lines[0]?.function_id });
		const start = await audited({ event: "start", pid: lastPid("ada") });
		expect(start).toMatchObject({
			username: "ada",
			uid: ada.local.uid,
			config_digest: expect.stringMatching(/^[0-9a-f]{64}$/),
		});
	});

	test("GC-9: a manager that is stopped ends its user endpoints in order, and leaves none of their processes", async () => {
		await executorOf(bob).submit(label);
		const after = manager.audit.length;
		await manager.stop();
		const ends = manager.audit.slice(after).filter(({ event }) => event === "end");
		expect(ends.length).toBeGreaterThan(0);
		for (const end of ends) expect(end).toMatchObject({ signal: null, reason: "the manager was stopped" });
		await vi.waitFor(() => expect([...ada.local.processes(), ...bob.local.processes()]).toEqual([]), {
			timeout: 20_000,
			interval: 100,
		});
	});
});

test("GC-9: a manager of somebody's own serves them, with several configurations at once, and nobody else, until it is deleted", {
	timeout: 60_000,
}, async () => {
	const { client } = ada;
	const own = await ManagerEndpoint.configure(cloud, client, program, {
		name: "own",
		as: ada.local,
		files: {
			"config.yaml": "grace_period: 15s\n",
			"user_config_template.yaml.j2": template.replace('{% include "more.yaml" %}', ""),
		},
	});
	await own.start();
	try {
		const [one, two] = ["one", "two"].map((name) => own.executor(ada.token, { label: name }));
		const executed = [one, two].map((executor) => executor?.submit(shell('echo "$LABEL"; sleep 1; id -u')));
		expect((await Promise.all(executed)).map((result) => result?.stdout)).toEqual(
			["one", "two"].map((name) => `${name}\n${ada.local.uid}\n`),
		);
		for (const executor of [one, two]) await executor?.close();
		const stranger = own.executor(bob.token);
		await expect(stranger.submit(label)).rejects.toThrow();
		await stranger.close();
		expect(new Set(own.audit.map(({ username, uid }) => `${username} ${uid}`))).toEqual(
			new Set([`ada ${ada.local.uid}`]),
		);
		// A deleted endpoint has no processes.
		await client.deleteEndpoint(own.id);
		expect(await own.process.exit()).toBe(exitForbidden);
	} finally {
		if (!own.process.ended) await own.stop();
	}
	const started = own.audit.filter(({ event }) => event === "start").map(({ pid }) => pid);
	const ended = own.audit.filter(({ event }) => event === "end").map(({ pid }) => pid);
	expect(ended.sort()).toEqual(started.sort());
	for (const pid of started) expect(existsSync(`/proc/${pid}`)).toBe(false);
});
