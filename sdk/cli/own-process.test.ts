import { expect, test } from "vitest";
import { whereTyped } from "./own-process.ts";

const npx = { npm_command: "exec", npm_lifecycle_event: "npx", INIT_CWD: "/clone/sdk/examples" };

test("files are found from where npx was typed, not from the package around it", () => {
	expect(whereTyped(npx, "/clone/sdk")).toBe("/clone/sdk/examples");
	expect(whereTyped(npx, "/clone/sdk/examples")).toBe("/clone/sdk/examples");
});

test("in a script that has gone elsewhere, and without npx, it is the working directory", () => {
	expect(whereTyped(npx, "/data")).toBe("/data");
	expect(whereTyped({ ...npx, npm_command: "run-script" }, "/clone")).toBe("/clone");
	expect(whereTyped({}, "/clone")).toBe("/clone");
});
