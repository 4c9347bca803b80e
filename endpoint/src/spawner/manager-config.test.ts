import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { LocalAccount } from "../multiuser/local-account.ts";
import { managerSettingNames, parseManagerConfig } from "./manager-config.ts";
import { environmentOf, readUserEnvironment } from "./user-environment.ts";

let directory: string;
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "errand-manager-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test("GC-9: a setting of blocks in a manager's config.yaml is refused, and where it belongs is said", () => {
	expect(() => parseManagerConfig("public: true\nmax_blocks: 4\nnonsense: 1\n", "config.yaml")).toThrow(
		/line 2: max_blocks: belongs to user endpoints.*user_config_template\.yaml\.j2[\s\S]*line 3: nonsense: there is no such setting/,
	);
	expect(parseManagerConfig("", "config.yaml")).toMatchObject({ maxUserEndpoints: 64, gracePeriodMs: 20_000 });
});

test("docs/templates.md tells of each setting of a manager, and of nothing else", () => {
	const page = readFileSync(new URL("../../../docs/templates.md", import.meta.url), "utf8");
	const told = [...page.matchAll(/^\| `([a-z_]+)` +\|/gm)].map(([, name]) => name);
	expect(told.sort()).toEqual([...managerSettingNames].sort());
});

const ada: LocalAccount = { uname: "ada", uid: 1, gid: 1, gecos: "", dir: "/home/ada", shell: "", groups: [1] };

test("GC-9: user_environment.yaml adds to what an account finds, and never says whose process it is", () => {
	const path = join(directory, "user_environment.yaml");
	writeFileSync(path, "SCRATCH: /scratch\nTHREADS: 4\nPATH: /opt/bin\n", { mode: 0o600 });
	expect(environmentOf(ada, readUserEnvironment(directory), undefined)).toEqual({
		PATH: "/opt/bin",
		LANG: "C.UTF-8",
		SCRATCH: "/scratch",
		THREADS: "4",
		HOME: "/home/ada",
		USER: "ada",
		LOGNAME: "ada",
		SHELL: "/bin/sh",
	});
	writeFileSync(path, "HOME: /root\n");
	expect(() => readUserEnvironment(directory)).toThrow(/HOME: is the account's own/);
	writeFileSync(path, "a-b: 1\n");
	expect(() => readUserEnvironment(directory)).toThrow(/a-b: is not the name of a variable/);
});
