import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { exitCodes } from "./exit-code.ts";
import { ownVersion } from "./own-process.ts";

const run = promisify(execFile);
const command = fileURLToPath(new URL("errand.mjs", import.meta.url));

test.each([
	["that reads TypeScript", []],
	["that does not", ["--no-strip-types"]],
])("the command runs by a Node %s, and its status is the command's", { timeout: 60_000 }, async (_, flags) => {
	expect((await run(process.execPath, [...flags, command, "--version"])).stdout).toBe(`${ownVersion()}\n`);
	await expect(run(process.execPath, [...flags, command, "fly"])).rejects.toMatchObject({
		code: exitCodes.usage.status,
		stderr: expect.stringContaining("unknown command 'fly'"),
	});
});
