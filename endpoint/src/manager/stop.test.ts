import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ended } from "./process-end.ts";
import { command, failureIn, javascript, jsonOf, python, ScriptedDaemon } from "./scripted-daemon.ts";

const forever = {
	"JavaScript that waits": javascript(
		"import { spawn } from 'node:child_process';\nexport async function f() { console.log(process.pid, spawn('setsid', ['sleep', '1000']).pid); await new Promise(() => {}); }",
	),
	"JavaScript in a loop": javascript("export function f() { console.log(process.pid); for (;;); }"),
	"Python that sleeps": python(
		"import os, subprocess, time\ndef f():\n    child = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n    print(os.getpid(), child.pid)\n    time.sleep(1000)\n",
	),
	"Python that ignores SIGTERM": python(
		"import os, signal, time\ndef f():\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    print(os.getpid())\n    time.sleep(1000)\n",
	),
	"a command": command("setsid sleep 1000 & echo $$ $!; sleep 1000"),
	"a command that ignores SIGTERM": command("trap '' TERM; echo $$; while true; do sleep 0.1; done"),
};

describe("what runs can be stopped", () => {
	let daemon: ScriptedDaemon;
	beforeAll(async () => {
		daemon = await new ScriptedDaemon().open();
	});
	afterAll(() => daemon.close());

	test.each(Object.entries(forever))(
		"NEW-5: %s is cancelled while it runs and leaves no process",
		async (_, endless) => {
			const task = daemon.task(endless);
			daemon.submit(endless, [task]);
			await daemon.until(() => daemon.outputOf(task).endsWith("\n"));
			daemon.send({ case: "cancel", value: { $typeName: "errand.v1.CancelTasks", taskIds: [task.id], graceMs: 200 } });
			const result = await daemon.result(task);
			expect(result.cancelled).toBe(true);
			expect(failureIn(result).code).toBe("CANCELLED");
			for (const pid of daemon.outputOf(task).trim().split(" ")) await ended(Number(pid));
		},
	);

	test("NEW-5: a task that waits is cancelled at once and never runs", async () => {
		const endless = forever["JavaScript that waits"];
		const running = [daemon.task(endless), daemon.task(endless)];
		const waiting = daemon.task(endless);
		daemon.submit(endless, [...running, waiting]);
		await daemon.until(() => running.every((task) => daemon.outputOf(task) !== ""));
		daemon.send({
			case: "cancel",
			value: { $typeName: "errand.v1.CancelTasks", taskIds: [waiting.id], graceMs: 1000 },
		});
		expect((await daemon.result(waiting)).cancelled).toBe(true);
		expect(daemon.outputOf(waiting)).toBe("");
		const taskIds = running.map((task) => task.id);
		daemon.send({ case: "cancel", value: { $typeName: "errand.v1.CancelTasks", taskIds, graceMs: 100 } });
		for (const task of running) expect((await daemon.result(task)).cancelled).toBe(true);
	});

	test.each(Object.entries(forever).slice(0, 4))(
		"NEW-6: %s is ended at its walltime with its whole group",
		async (_, endless) => {
			const task = daemon.task(endless, { resources: { walltimeMs: 400 } });
			daemon.submit(endless, [task]);
			const failure = failureIn(await daemon.result(task));
			expect(failure).toMatchObject({ code: "WALLTIME_EXCEEDED", name: "TimeoutError" });
			expect(failure.message).toMatch(/400 ms/);
			for (const pid of daemon.outputOf(task).trim().split(" ")) await ended(Number(pid));
		},
	);

	test.each(Object.entries(forever).slice(4))(
		"NEW-6: GC-10: %s is ended at its walltime with return code 124",
		async (_, endless) => {
			const task = daemon.task(endless, { resources: { walltimeMs: 400 } });
			daemon.submit(endless, [task]);
			const result = jsonOf(await daemon.result(task)) as {
				returncode: number;
				stdout: string;
				exception_name: string;
			};
			expect(result).toMatchObject({ returncode: 124, exception_name: "subprocess.TimeoutExpired" });
			for (const pid of result.stdout.trim().split(" ")) await ended(Number(pid));
		},
	);

	test("GC-10: the walltime and the number of lines that the command itself names hold", async () => {
		const slow = command("seq 1 5; sleep 1000", { walltime_ms: 300, snippet_lines: 2, environment: { X: "1" } });
		expect(jsonOf(await daemon.run(slow))).toMatchObject({ returncode: 124, stdout: "4\n5\n" });
	});

	test("GC-10: each task runs in a sandbox of its own", async () => {
		const look = command("pwd; ls -A | wc -l; touch mine");
		const first = jsonOf(await daemon.run(look)) as { stdout: string };
		const second = jsonOf(await daemon.run(look)) as { stdout: string };
		for (const { stdout } of [first, second]) {
			expect(stdout.startsWith(`${daemon.directory}/sandbox/`)).toBe(true);
			expect(stdout).toMatch(/\n0\n$/);
		}
	});
});
