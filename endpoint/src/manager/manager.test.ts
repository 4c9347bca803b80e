import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { command, failureIn, javascript, jsonOf, python, ScriptedDaemon } from "./scripted-daemon.ts";

describe("a manager with its workers", () => {
	let daemon: ScriptedDaemon;
	beforeAll(async () => {
		daemon = await new ScriptedDaemon().open();
	});
	afterAll(() => daemon.close());

	test("runs functions of three languages", async () => {
		const sum = javascript("export const f = (a, b) => a + b;");
		const mean = python("def f(values):\n    return sum(values) / len(values)\n");
		const greet = command("echo hello {who}; echo oops >&2; exit 3");
		const [a, b, c] = await Promise.all([
			daemon.run(sum, { args: [2, 3] }),
			daemon.run(mean, { args: [[1, 2, 6]] }),
			daemon.run(greet, { kwargs: { who: "a b;$(id)" } }),
		]);
		expect(jsonOf(a)).toBe(5);
		expect(jsonOf(b)).toBe(3);
		expect(jsonOf(c)).toEqual({
			cmd: "echo hello 'a b;$(id)'; echo oops >&2; exit 3",
			stdout: "hello a b;$(id)\n",
			stderr: "oops\n",
			returncode: 3,
			exception_name: "subprocess.CalledProcessError",
		});
		expect(a.execution?.runtimeVersion).toMatch(/^Node\.js 24/);
		expect(b.execution?.runtimeVersion).toMatch(/^Python 3/);
	});

	test("a function that throws fails alone, with the user's own frames", async () => {
		const js = failureIn(await daemon.run(javascript("export function f() {\n  throw new TypeError('no good');\n}")));
		expect(js).toMatchObject({ code: "FUNCTION_FAILED", name: "TypeError", message: "no good" });
		expect(js.stack).toMatch(/at f \(errand:f(\?\d+)?:2:9\)/);
		expect(js.stack).not.toMatch(/run-task|worker/);
		const py = failureIn(await daemon.run(python("def f():\n    raise ValueError('no good')\n")));
		expect(py).toMatchObject({ code: "FUNCTION_FAILED", name: "ValueError", message: "no good" });
		expect(py.stack).toMatch(/errand:f(\?\d+)?", line 2, in f\n {4}raise ValueError/);
		expect(py.stack).not.toMatch(/worker\.py/);
	});
});
