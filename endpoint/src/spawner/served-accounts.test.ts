import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { silentLogger } from "../service/logger.ts";
import { mappedAccounts, type ServedAccounts } from "./served-accounts.ts";

const id = "0192f0c1-0000-7000-8000-00000000ada0";
const ada = { identityId: id, username: "ada", identities: [{ id, username: "ada@example.org", status: "used" }] };

let directory: string;
let accounts: ServedAccounts | undefined;
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "errand-served-"));
});
afterEach(() => {
	accounts?.close();
	accounts = undefined;
	rmSync(directory, { recursive: true, force: true });
});

function mapped(...scripts: readonly string[]): ServedAccounts {
	const map = scripts.map((script, at) => {
		const path = join(directory, `map-${at}`);
		writeFileSync(path, `${script}\n`, { mode: 0o600 });
		return { DATA_TYPE: "external_identity_mapping#1.0.0", command: ["/bin/sh", path] };
	});
	writeFileSync(join(directory, "identity_mapping.json"), JSON.stringify(map), { mode: 0o600 });
	accounts = mappedAccounts(directory, id, silentLogger);
	return accounts;
}

test("GC-9: whom a mapping program does not know is refused; while it gives no answer, nobody is refused for good", async () => {
	await expect(mapped("exit 0").accountFor(ada)).rejects.toMatchObject({
		code: "SEMANTICALLY_INVALID",
		message: expect.stringContaining("you (ada) have no account"),
	});
	accounts?.close();
	await expect(mapped("exit 0", "echo the directory is away >&2; exit 1").accountFor(ada)).rejects.toMatchObject({
		code: "NOT_READY",
		message: expect.stringMatching(/^(?!.*directory is away).*cannot be told now.*try again later/),
	});
});

test("GC-9: a later mapper that has a name makes up for a program that gave no answer", async () => {
	const answer = JSON.stringify({ result: [{ id, output: "root" }] });
	await expect(mapped("exit 1", `echo '${answer}'`).accountFor(ada)).rejects.toMatchObject({
		code: "SEMANTICALLY_INVALID",
		message: expect.stringContaining("nothing runs as root"),
	});
});
