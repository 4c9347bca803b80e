import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { completionScript, shells } from "./completion.ts";
import { groups, verbs } from "./verbs.ts";

let home: string;
beforeAll(() => {
	home = mkdtempSync(join(tmpdir(), "errand-completion-"));
	mkdirSync(join(home, "endpoints", "cluster"), { recursive: true });
	mkdirSync(join(home, "endpoints", "local"));
});
afterAll(() => rmSync(home, { recursive: true }));

/** What bash would offer after these words; the last one is being typed. */
function offered(...words: string[]): string[] {
	const line = [
		completionScript("bash", verbs, groups),
		`COMP_WORDS=(errand ${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length}; _errand; printf '%s\\n' "\${COMPREPLY[@]}"`,
	].join("\n");
	const { stdout, stderr, status } = spawnSync("bash", ["--norc", "-c", line], {
		encoding: "utf8",
		env: { PATH: process.env.PATH, ERRAND_HOME: home },
	});
	expect(stderr).toBe("");
	expect(status).toBe(0);
	return stdout.split("\n").filter(Boolean);
}

test.each(["bash", "zsh"] as const)("bash can read the %s script", (shell) => {
	const { status, stderr } = spawnSync("bash", ["-n"], {
		input: completionScript(shell, verbs, groups),
		encoding: "utf8",
	});
	expect(stderr).toBe("");
	expect(status).toBe(0);
});

test.each(shells)("the %s script knows every verb and every long option", (shell) => {
	const script = completionScript(shell, verbs, groups);
	for (const verb of verbs) {
		for (const word of verb.name.split(" ")) expect(script).toContain(word);
		for (const { flags } of verb.options ?? []) expect(script).toContain(/--([\w-]+)/.exec(flags)?.[1]);
	}
});

test("bash offers verbs, verbs of a group, options, choices and names from the disk", () => {
	expect(offered("")).toEqual(expect.arrayContaining(["login", "run", "task", "endpoint", "cloud", "completion"]));
	expect(offered("ta")).toEqual(["task"]);
	expect(offered("task", "")).toEqual(["list", "show", "explain", "wait", "result", "logs", "cancel", "retry"]);
	expect(offered("cloud", "user", "")).toEqual(["add", "list", "admin"]);
	expect(offered("task", "list", "--st")).toEqual(["--state"]);
	expect(offered("task", "list", "--state", "ru")).toEqual(["running"]);
	expect(offered("task", "show", "l")).toEqual(["last"]);
	expect(offered("endpoint", "start", "")).toEqual(expect.arrayContaining(["cluster", "local", "--detach"]));
	expect(offered("run", "-e", "c")).toEqual(["cluster"]);
	expect(offered("completion", "")).toEqual(expect.arrayContaining([...shells]));
});
