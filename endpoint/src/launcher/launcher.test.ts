import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { parseConfig } from "../config/config.ts";
import { type LauncherName, launcherNames } from "../config/queue.ts";
import type { BlockSpec } from "../scheduler/scheduler.ts";
import { shellWord } from "../scheduler/shell-word.ts";
import { launchText } from "./launcher.ts";

type Launcher = Exclude<LauncherName, "auto">;

let directory = "";
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "errand-launch-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function program(name: string, text: string): string {
	const path = join(directory, name);
	writeFileSync(path, `#!/bin/bash\n${text}\n`);
	chmodSync(path, 0o755);
	return path;
}

function specOf(command: readonly [string, ...string[]], nodes = 2, options = ""): BlockSpec {
	const { queues } = parseConfig(
		stringify({ scheduler: "slurm", nodes_per_block: nodes, launcher_options: options }),
		"config.yaml",
		directory,
	);
	const [queue] = queues;
	if (queue === undefined) throw new Error("no queue");
	return {
		blockId: "b1",
		jobName: "errand-b1",
		command,
		environment: { ERRAND_BLOCK_TOKEN: "it's a secret" },
		workerInit: "",
		nodes,
		logPath: join(directory, "log"),
		queue,
	};
}

/** Runs the lines as a batch script; what it prints, line by line. */
class Script {
	readonly child: ChildProcess;
	output = "";

	constructor(launcher: Launcher, spec: BlockSpec, environment: Record<string, string> = {}) {
		this.child = spawn(
			"/bin/bash",
			["-c", `export ERRAND_BLOCK_TOKEN="it's a secret"\n${launchText(launcher, spec)}`],
			{
				stdio: ["ignore", "pipe", "pipe"],
				env: { PATH: `${directory}:${process.env.PATH}`, TMPDIR: directory, ...environment },
			},
		);
		for (const stream of [this.child.stdout, this.child.stderr])
			stream?.on("data", (data) => {
				this.output += data;
				this.child.emit("output");
			});
	}

	async until(count: number, pattern: RegExp): Promise<void> {
		while ((this.output.match(new RegExp(pattern, "g"))?.length ?? 0) < count) await once(this.child, "output");
	}

	async end(): Promise<number | null> {
		if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, "close");
		return this.child.exitCode;
	}
}

/** Says where it is, and on SIGTERM that it ends well. */
const manager =
	'trap "echo terminated; exit 0" TERM; echo "started $ERRAND_BLOCK_TOKEN $*"; while :; do sleep 0.05; done';

describe("launchers", () => {
	test("each starts one manager a node, in words that its program knows", async () => {
		const texts = launcherNames
			.filter((name) => name !== "auto")
			.map((name) => `# ${name}\n${launchText(name, specOf(["/opt/node", "/opt/my manager.mjs"], 4, "-v"))}\n`);
		await expect(texts.join("\n")).toMatchFileSnapshot("launcher.golden.txt");
	});

	test("every text is one that bash reads", async () => {
		for (const name of launcherNames) {
			if (name === "auto") continue;
			const child = spawn("/bin/bash", ["-n"], { stdio: ["pipe", "inherit", "inherit"] });
			child.stdin.end(launchText(name, specOf(["/opt/node", "it's"])));
			expect(await once(child, "close")).toEqual([0, null]);
		}
	});

	test("a batch script's SIGTERM ends managers started by an MPI launcher well, and one's failure is not the others'", async () => {
		const path = program("manager", manager);
		// Two processes of this machine stand for two nodes; it ends all when one fails, as MPI launchers do.
		program(
			"mpiexec",
			`[ "$1" = --version ] && exit
			while [ "$1" != /bin/sh ]; do shift; done
			"$@" & a=$!; "$@" & b=$!
			trap 'kill -TERM $a $b; wait $a; wait $b; exit 0' TERM
			wait -n || { echo "one failed"; kill -9 $a $b; exit 1; }
			wait`,
		);
		const script = new Script("mpiexec", specOf([path, "a b"]));
		await script.until(2, /started it's a secret a b/);
		script.child.kill("SIGTERM");
		await script.until(2, /terminated/);
		await script.end();
		const failing = new Script("mpiexec", specOf([program("failing", "exit 3")]));
		await failing.end();
		expect(failing.output).not.toContain("one failed");
	});

	test("srun is not told to end: its steps are", async () => {
		const path = program("manager", manager);
		program("srun", `while [ "$1" != ${shellWord(path)} ]; do shift; done; echo $$ > ${directory}/step; exec "$@"`);
		program("scancel", `echo "scancel $*"; kill -TERM "$(cat ${directory}/step)"`);
		const script = new Script("srun", specOf([path]), { SLURM_JOB_ID: "71" });
		await script.until(1, /started/);
		script.child.kill("SIGTERM");
		expect(await script.end()).toBe(0);
		expect(script.output).toContain("scancel --quiet --signal=TERM 71");
		expect(script.output).toContain("terminated");
	});

	describe("remote shells", () => {
		beforeEach(() => {
			// As sshd does: the words are for a shell, and nothing of this environment goes with them.
			program(
				"ssh",
				`echo "$*" >> ${directory}/words; while [ "\${1#-}" != "$1" ]; do [ "$1" = -o ] && shift; shift; done; shift
				exec env -i PATH="$PATH" HOSTNAME=far /bin/sh -c "$*"`,
			);
		});

		test("get the environment through their input, and nobody sees it on a command line", async () => {
			writeFileSync(join(directory, "nodes"), "a1\na1\na2\n");
			const script = new Script("ssh", specOf([program("manager", manager), "x y"]), {
				PBS_NODEFILE: join(directory, "nodes"),
			});
			await script.until(2, /started it's a secret x y/);
			const words = readFileSync(join(directory, "words"), "utf8");
			expect(words.trim().split("\n").sort()).toEqual([
				"-o BatchMode=yes -o ServerAliveInterval=30 a1 /bin/bash -s",
				"-o BatchMode=yes -o ServerAliveInterval=30 a2 /bin/bash -s",
			]);
			script.child.kill("SIGTERM");
			await script.until(2, /terminated/);
			await script.end();
		});

		test("end their managers also when the batch script was killed", async () => {
			const script = new Script("ssh", specOf([program("manager", manager)]), { ERRAND_HOSTS: "a1 a2" });
			await script.until(2, /started/);
			script.child.kill("SIGKILL");
			await script.until(2, /terminated/);
			await script.end();
		});

		test("one that cannot be reached does not end the others", async () => {
			program("ssh", `case "$*" in *" a1 "*) echo "a1 is down"; exit 255;; esac; exec /bin/bash -s`);
			const script = new Script("ssh", specOf([program("manager", manager)]), { ERRAND_HOSTS: "a1 a2" });
			await script.until(1, /started/);
			await script.until(1, /a1 is down/);
			script.child.kill("SIGTERM");
			await script.until(1, /terminated/);
			await script.end();
		});
	});
});
