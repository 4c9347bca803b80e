import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { askProgram, externalDocument } from "./external-map.ts";
import type { Identity } from "./identity.ts";

const endpointId = "67c31064-1e5f-4d78-b687-5fbea3d3e05a";
const ada: Identity = { id: "9cf5a1d2-41c4-4925-b0bb-f5e0a16c98ab", username: "ada@example.org", status: "used" };

let directory: string;
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "errand-map-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** A program of the site's. */
function command(script: string, ...words: readonly (string | number)[]) {
	const path = join(directory, "map");
	writeFileSync(path, `#!/bin/sh\n${script}\n`);
	chmodSync(path, 0o755);
	return externalDocument.parse({ DATA_TYPE: "external_identity_mapping#1.0.0", command: [path, ...words] });
}

const answer = (...result: readonly unknown[]): string =>
	`echo '${JSON.stringify({ DATA_TYPE: "identity_mapping_output#1.0.0", result })}'`;

test("GC-9: a mapping program is asked as in the field, and its answers come in its order", async () => {
	const program = command(
		`cat > ${directory}/asked; echo "$@" > ${directory}/words; env > ${directory}/environment; ${answer(
			{ id: ada.id.toUpperCase(), output: "ada" },
			{ id: ada.id, output: "lovelace" },
		)}`,
		"--gridmap",
		7,
	);
	process.env.SECRET_OF_THE_DAEMON = "x";
	try {
		expect(await askProgram(program, [ada], endpointId)).toEqual([
			{ identityId: ada.id, localName: "ada" },
			{ identityId: ada.id, localName: "lovelace" },
		]);
	} finally {
		delete process.env.SECRET_OF_THE_DAEMON;
	}
	const read = (name: string): string => readFileSync(join(directory, name), "utf8");
	expect(JSON.parse(read("asked"))).toEqual({ DATA_TYPE: "identity_mapping_input#1.0.0", identities: [ada] });
	expect(read("words")).toBe(`--gridmap 7 -c 145812c8-decc-41f1-83cf-bb2a85a2a70b -s ${endpointId} -a\n`);
	expect(read("environment")).not.toContain("SECRET_OF_THE_DAEMON");
});

test("a program that says nothing knows nobody", async () => {
	expect(await askProgram(command("exit 0"), [ada], endpointId)).toEqual([]);
});

test.each([
	["fails", "echo no such map >&2; exit 3", "status 3: no such map"],
	["is killed", "kill -9 $$", "SIGKILL"],
	["answers no JSON", "echo ada", "no answer that is understood"],
	["answers something else", `echo '{"user":"root"}'`, "no answer that is understood"],
	["answers for somebody else", answer({ id: endpointId, output: "root" }), "whom nobody asked about"],
	["never stops talking", "while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done", "bytes"],
])("a program that %s maps nobody", async (_, script, says) => {
	await expect(askProgram(command(script), [ada], endpointId)).rejects.toThrow(says);
});

test("a program that is not there maps nobody", async () => {
	const program = externalDocument.parse({
		DATA_TYPE: "external_identity_mapping#1.0.0",
		command: [join(directory, "none")],
	});
	await expect(askProgram(program, [ada], endpointId)).rejects.toThrow("cannot be started");
});

test("a program that hangs is ended, with what it started", async () => {
	const program = command(
		`mkfifo ${directory}/never; (cat ${directory}/never; touch ${directory}/lived) & cat ${directory}/never`,
	);
	await expect(askProgram(program, [ada], endpointId, 200)).rejects.toThrow("did not answer within 200 ms");
	expect(existsSync(join(directory, "lived"))).toBe(false);
});
