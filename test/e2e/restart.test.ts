import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";
import { removePostgresHome } from "../../cloud/src/store/postgres-home.ts";
import { isAlive } from "../harness/pids.ts";
import { randomPort } from "../harness/ports.ts";

const cli = fileURLToPath(new URL("../../sdk/cli/main.ts", import.meta.url));

/** The command line of somebody whose machine has nothing yet. */
class Person {
	readonly home = mkdtempSync(join(tmpdir(), "errand-"));
	readonly environment: NodeJS.ProcessEnv;

	constructor(ports: { http: number; amqp: number }) {
		this.environment = {
			PATH: process.env.PATH,
			HOME: this.home,
			ERRAND_HOME: this.home,
			ERRAND_CLOUD_PORT: String(ports.http),
			ERRAND_CLOUD_AMQP_PORT: String(ports.amqp),
			NO_COLOR: "1",
		};
	}

	/** What it prints; it must succeed. */
	async text(args: readonly string[], input = ""): Promise<string> {
		const child = spawn(process.execPath, [cli, ...args], { env: this.environment });
		let stdout = "";
		let stderr = "";
		child.stdout.on("data", (chunk) => {
			stdout += String(chunk);
		});
		child.stderr.on("data", (chunk) => {
			stderr += String(chunk);
		});
		child.stdin.end(input);
		const code = await new Promise((resolve) => child.on("close", resolve));
		if (code !== 0) throw new Error(`errand ${args.join(" ")} ended with ${code}:\n${stdout}\n${stderr}`);
		return stdout;
	}

	async json<T>(args: readonly string[], input?: string): Promise<T> {
		return JSON.parse(await this.text([...args, "--json"], input)) as T;
	}
}

let person: Person | undefined;
afterEach(async () => {
	await person?.json(["endpoint", "stop", "here"]).catch(() => undefined);
	await person?.json(["cloud", "stop"]).catch(() => undefined);
	if (person) {
		await removePostgresHome(join(person.home, "cloud", "postgres"));
		rmSync(person.home, { recursive: true, force: true });
	}
	person = undefined;
});

test("NEW-1: a cloud that was stopped finds its accounts, logins, endpoints, functions, tasks and results again", {
	timeout: 180_000,
}, async () => {
	const operator = new Person({ http: await randomPort(), amqp: await randomPort() });
	person = operator;
	const start = () => operator.json<{ pid: number; url: string }>(["cloud", "start", "--detach"]);
	const { pid, url } = await start();
	await operator.json(["cloud", "user", "add", "ada", "--admin", "--password-stdin"], "a password of ada\n");
	await operator.json(["login", "--cloud", url, "--approve-as", "ada"]);
	await operator.json(["endpoint", "configure", "here"]);
	await operator.json(["endpoint", "start", "here", "--detach"]);
	expect(await operator.text(["run", "-e", "here", "--", "echo", "still", "there"])).toBe("still there\n");
	const all = async () => ({
		tasks: (await operator.json<{ tasks: object[] }>(["task", "list"])).tasks,
		functions: await operator.json(["function", "list"]),
		users: await operator.json(["cloud", "user", "list"]),
		result: await operator.json(["task", "result", "last"]),
	});
	const before = await all();
	expect(before.tasks).toHaveLength(1);

	expect(await operator.json(["cloud", "stop"])).toEqual({ how: "ended" });
	expect(isAlive(pid)).toBe(false);
	const again = await start();
	expect(again.url).toBe(url);
	expect(again.pid).not.toBe(pid);

	// The same login, the same things, the same endpoint that never stopped.
	expect(await operator.json(["whoami"])).toMatchObject({ username: "ada" });
	expect(await all()).toEqual(before);
	expect(await operator.text(["run", "-e", "here", "--", "echo", "and", "goes", "on"])).toBe("and goes on\n");
});
