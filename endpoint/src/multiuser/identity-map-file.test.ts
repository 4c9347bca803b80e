import { chmodSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { silentLogger } from "../service/logger.ts";
import type { Identity } from "./identity.ts";
import { type IdentityMapFile, openIdentityMapFile } from "./identity-map-file.ts";

const ada: Identity = { id: "of-ada", username: "ada@example.org", status: "used" };
const rulesFor = (output: string) => ({
	DATA_TYPE: "expression_identity_mapping#1.0.0",
	comment: "files of the field carry comments",
	mappings: [{ source: "{username}", match: "(.*)@example\\.org", output }],
});
const noProgram = { DATA_TYPE: "external_identity_mapping#1.0.0", command: ["/nonexistent/map", 1] };
const broken = { ...rulesFor("x"), mappings: [{ source: "{organization}", match: ".*", output: "x" }] };

let directory: string;
let path: string;
let file: IdentityMapFile | undefined;
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "errand-map-"));
	path = join(directory, "identity_mapping.json");
});
afterEach(() => {
	file?.close();
	rmSync(directory, { recursive: true, force: true });
});

/** As an editor does it. */
function write(text: string, mode = 0o600): void {
	writeFileSync(`${path}.new`, text);
	chmodSync(`${path}.new`, mode);
	renameSync(`${path}.new`, path);
}

const name = async (): Promise<string | undefined> => (await file?.map([ada]))?.localName;

test("GC-9: mappers are asked in order; one that fails is told and passed over", async () => {
	const warnings: unknown[] = [];
	write(JSON.stringify([noProgram, broken, rulesFor("{0}"), rulesFor("other")]));
	file = openIdentityMapFile({
		path,
		endpointId: "e",
		log: { ...silentLogger, warn: (fields: unknown) => warnings.push((fields as { mapper: number }).mapper) },
	});
	expect(await file.map([ada])).toEqual({ identityId: "of-ada", localName: "ada" });
	expect(warnings).toEqual([0, 1]);
	expect(await file.map([{ ...ada, username: "eve@example.com", organization: "x" }])).toMatchObject({
		localName: "x",
	});
});

test("GC-9: a changed file is in effect without a restart; one with a fault leaves the old map in effect", async () => {
	let heard = Promise.withResolvers<string>();
	const next = async (): Promise<string> => {
		const said = await heard.promise;
		heard = Promise.withResolvers<string>();
		return said;
	};
	const say = (_: unknown, message?: string): void => heard.resolve(message ?? "");
	write(JSON.stringify([rulesFor("first")]));
	file = openIdentityMapFile({
		path,
		endpointId: "e",
		log: { ...silentLogger, info: say, error: say },
		lookEveryMs: 20,
	});
	expect(await name()).toBe("first");
	write(JSON.stringify([rulesFor("second")]));
	expect(await next()).toBe("identity mapping: read again");
	expect(await name()).toBe("second");
	for (const [text, mode] of [
		["[{", 0o600],
		[JSON.stringify([{ ...rulesFor("x"), DATA_TYPE: "unheard_of#1.0.0" }]), 0o600],
		[JSON.stringify([rulesFor("written by others")]), 0o666],
	] as const) {
		write(text, mode);
		expect(await next()).toContain("the old map stays in effect");
		expect(await name()).toBe("second");
	}
	rmSync(path);
	expect(await next()).toContain("the old map stays in effect");
	write(JSON.stringify([rulesFor("third")]));
	expect(await next()).toBe("identity mapping: read again");
	expect(await name()).toBe("third");
});

test.each([
	["is not there", undefined, "cannot be read"],
	["is no list", JSON.stringify(rulesFor("x")), "the list:"],
	["is empty", "[]", "the list:"],
	["is of another kind", JSON.stringify([{ DATA_TYPE: "other#1.0.0" }]), "0.DATA_TYPE"],
	[
		"has a rule without a match",
		JSON.stringify([{ ...rulesFor("x"), mappings: [{ source: "a" }] }]),
		"0.mappings.0.match",
	],
	["names no program", JSON.stringify([{ ...noProgram, command: [] }]), "0.command"],
	[
		"has a rule with a fault",
		JSON.stringify([rulesFor("x"), { ...rulesFor("x"), mappings: [{ source: "a", match: "\\d", output: "x" }] }]),
		'1: match "\\d"',
	],
])("an endpoint does not start with a map that %s", (_, text, says) => {
	if (text !== undefined) write(text);
	expect(() => openIdentityMapFile({ path, endpointId: "e", log: silentLogger })).toThrow(says);
});
