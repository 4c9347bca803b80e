import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

const run = promisify(execFile);
const main = fileURLToPath(new URL("../main.ts", import.meta.url));
/** Everybody has one that is neither root nor nobody. */
const somebody = process.geteuid?.() === 0 ? "daemon" : userInfo().username;

let directory: string;
const write = (name: string, text: string): void => writeFileSync(join(directory, name), text, { mode: 0o600 });
beforeAll(() => {
	directory = mkdtempSync(join(tmpdir(), "errand-render-"));
	write(
		"user_config_template.yaml.j2",
		"display_name: {{ _GC.mapped_identity.local.uname }}\nmax_blocks: {{ blocks }}\n",
	);
	const mappings = [
		{ source: "{username}", match: "ada@example\\.org", output: somebody },
		{ source: "{username}", match: "(.*)@example\\.org", output: "{0}" },
	];
	write("identity_mapping.json", JSON.stringify([{ DATA_TYPE: "expression_identity_mapping#1.0.0", mappings }]));
	write("asked.yaml", "blocks: 3\n");
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const render = async (...words: readonly string[]): Promise<unknown> =>
	JSON.parse((await run(process.execPath, [main, "render", directory, ...words])).stdout);

test("GC-9: the configuration of somebody's endpoint is shown without a cloud", async () => {
	const shown = {
		account: { uname: somebody },
		config: `display_name: "${somebody}"\nmax_blocks: 3\n`,
	};
	const file = `--user-config=${join(directory, "asked.yaml")}`;
	expect(await render("--identity=ada@example.org", file)).toMatchObject(shown);
	const identity = '--identity={"id":"of-ada","username":"ada@example.org"}';
	expect(await render(identity, '--user-config={"blocks":3}')).toMatchObject({ ...shown, identity: "of-ada" });
});

test("GC-9: somebody who maps to root, to nobody or to no account is refused", async () => {
	const refused = (who: string): Promise<unknown> => render(`--identity=${who}`, '--user-config={"blocks":3}');
	await expect(refused("root@example.org")).rejects.toMatchObject({
		stderr: expect.stringContaining("nothing runs as root"),
	});
	await expect(refused("nobody@example.org")).rejects.toMatchObject({ stderr: expect.stringContaining("as nobody") });
	await expect(refused("eve@example.com")).rejects.toMatchObject({ stderr: expect.stringContaining("no rule of") });
});
