import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ended } from "./process-end.ts";
import { command, hexOf, javascript, jsonOf, python, ScriptedDaemon } from "./scripted-daemon.ts";

let daemon: ScriptedDaemon;
beforeEach(async () => {
	daemon = await new ScriptedDaemon().open();
});
afterEach(() => daemon.close());

const pids = python(
	"import os, subprocess, time\ndef f():\n    child = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n    print(os.getpid(), child.pid)\n    time.sleep(1000)\n",
);

test("HQ-13: what runs goes on while the daemon is dead, and its result is delivered to the next one, once run", async () => {
	const slow = command("echo started; until [ -e {flag} ]; do sleep 0.02; done; echo ran >> {log}");
	const flag = join(daemon.directory, "flag");
	const log = join(daemon.directory, "log");
	const task = daemon.task(slow, { kwargs: { flag, log }, resources: { walltimeMs: 60_000 } });
	daemon.submit(slow, [task]);
	await daemon.until(() => daemon.outputOf(task) !== "");
	daemon.die();
	await daemon.listen();
	await daemon.until(() => daemon.hellos.length === 2);
	expect(hexOf(daemon.hellos[1]?.heldTaskIds)).toEqual(hexOf([task.id]));
	expect(daemon.hellos[1]?.holdings).toMatchObject([{ resources: { walltimeMs: 60_000 } }]);
	expect(hexOf(daemon.hellos[1]?.holdings.map(({ taskId }) => taskId))).toEqual(hexOf([task.id]));
	expect(daemon.hellos[1]?.managerId).toBe(daemon.hellos[0]?.managerId);
	daemon.submit(slow, [task]); // a daemon that is not sure sends it again
	await daemon.run(command("touch {flag}"), { kwargs: { flag } });
	await daemon.result(task);
	await daemon.run(javascript("export const f = () => 1;"));
	expect(readFileSync(log, "utf8")).toBe("ran\n");
	expect(daemon.resultsOf(task)).toHaveLength(1);
});

test("HQ-13: a result is kept and repeated until it is acknowledged", async () => {
	daemon.acknowledge = false;
	const one = javascript("export const f = () => 1;");
	const task = daemon.task(one);
	daemon.submit(one, [task]);
	await daemon.result(task);
	daemon.die();
	await daemon.listen();
	await daemon.until(() => daemon.resultsOf(task).length === 2);
	expect(hexOf(daemon.hellos[1]?.unacknowledgedTaskIds)).toEqual(hexOf([task.id]));
	expect(daemon.hellos[1]?.heldTaskIds).toEqual([]);
	daemon.send({ case: "resultAck", value: { $typeName: "errand.v1.ResultAck", taskIds: [task.id] } });
	await daemon.run(one);
	daemon.die();
	await daemon.listen();
	await daemon.until(() => daemon.hellos.length === 3);
	expect(hexOf(daemon.hellos[2]?.unacknowledgedTaskIds)).not.toContain(hexOf([task.id])[0]);
});

test("tasks that the daemon does not want any more are killed and never heard of", async () => {
	const task = daemon.task(pids);
	daemon.submit(pids, [task]);
	await daemon.until(() => daemon.outputOf(task).endsWith("\n"));
	const running = daemon.outputOf(task).trim().split(" ").map(Number);
	daemon.unwanted = [task.id];
	daemon.die();
	await daemon.listen();
	await daemon.until(() => daemon.hellos.length === 2);
	for (const pid of running) await ended(pid);
	await daemon.run(javascript("export const f = () => 1;"));
	expect(daemon.resultsOf(task)).toHaveLength(0);
});

test("drained, it takes nothing new, finishes what it holds, and ends with nothing left", async () => {
	const slow = command("sleep 0.3; echo done");
	const tasks = [1, 2, 3].map(() => daemon.task(slow));
	daemon.submit(slow, tasks);
	daemon.send({ case: "drain", value: { $typeName: "errand.v1.Drain", reason: "test" } });
	const late = daemon.task(slow);
	daemon.submit(slow, [late]);
	const exit = daemon.manager === undefined ? [] : await once(daemon.manager, "exit");
	expect(exit).toEqual([0, null]);
	for (const task of tasks) expect(jsonOf(await daemon.result(task))).toMatchObject({ stdout: "done\n" });
	expect(daemon.resultsOf(late)).toHaveLength(0);
});

test("NEW-5: asked to end by the scheduler (SIGTERM), it leaves no process and reports no failure of what it killed", async () => {
	const task = daemon.task(pids);
	daemon.submit(pids, [task]);
	await daemon.until(() => daemon.outputOf(task).endsWith("\n"));
	daemon.manager?.kill("SIGTERM");
	if (daemon.manager !== undefined) await once(daemon.manager, "exit");
	for (const pid of daemon.outputOf(task).trim().split(" ")) await ended(Number(pid));
	expect(daemon.resultsOf(task)).toHaveLength(0);
	expect(readdirSync(daemon.directory).filter((name) => name !== "sandbox")).toEqual([]);
});

test("NEW-5: killed with SIGKILL, it leaves no process either", async () => {
	const task = daemon.task(pids);
	daemon.submit(pids, [task]);
	await daemon.until(() => daemon.outputOf(task).endsWith("\n"));
	const running = daemon.outputOf(task).trim().split(" ").map(Number);
	const exit = daemon.manager === undefined ? undefined : once(daemon.manager, "exit");
	daemon.manager?.kill("SIGKILL");
	for (const pid of running) await ended(pid);
	expect(await exit).toEqual([null, "SIGKILL"]);
});

test("without a daemon for too long it finishes what runs and ends by itself", async () => {
	await daemon.close();
	daemon = new ScriptedDaemon();
	daemon.orphanLimitMs = 300;
	await daemon.open();
	const log = join(daemon.directory, "log");
	const slow = command("echo started; sleep 0.8; echo ran > {log}");
	const task = daemon.task(slow, { kwargs: { log } });
	daemon.submit(slow, [task]);
	await daemon.until(() => daemon.outputOf(task) !== "");
	daemon.die();
	if (daemon.manager !== undefined) expect(await once(daemon.manager, "exit")).toEqual([0, null]);
	expect(readFileSync(log, "utf8")).toBe("ran\n");
});
