import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { defaultConfigText } from "../config/default-config.ts";
import { templateOf } from "../multiuser/template-files.ts";
import { renderUserConfig } from "../multiuser/user-config.ts";
import { parseManagerConfig } from "../spawner/manager-config.ts";
import { configText } from "./config-text.ts";
import { managerFiles } from "./manager-files.ts";
import { readSite, siteNames } from "./site-files.ts";

const folder = fileURLToPath(new URL("../../../deploy/sites", import.meta.url));
const account = { uname: "ada", uid: 1, gid: 1, gecos: "", dir: "/home/ada", shell: "/bin/sh", groups: [1] };

function rendered(config: string, values: Record<string, string | number>): Record<string, unknown> {
	const files = managerFiles(config, "lab");
	parseManagerConfig(files["config.yaml"] ?? "", "config.yaml");
	const template = templateOf({
		file: "template",
		text: files["user_config_template.yaml.j2"] ?? "",
		includes: {},
		schema: { file: "schema", text: files["user_config_schema.json"] ?? "" },
		parentConfig: {},
	});
	const request = { values, runtime: {}, account, identityId: "of-ada" };
	return parse(renderUserConfig(template, request, "/home/ada/endpoint").text) as Record<string, unknown>;
}

test("GC-9: what a new manager's template gives to who asks for nothing is what an ordinary endpoint has there, at every site we know", () => {
	const texts = siteNames(folder).map((name) => {
		const site = readSite(folder, name);
		const answers = Object.fromEntries(
			site.ask.map(({ setting, example, choices }) => [setting, example ?? choices[0] ?? "1h"]),
		);
		return configText(site, answers, { name: "lab", directory: "/home/ada/endpoint" });
	});
	for (const text of [...texts, defaultConfigText("lab")])
		expect(rendered(text, {})).toEqual({ max_blocks: 1, worker_init: "", ...(parse(text) as object) });
});

test("GC-9: people choose within the schema, and what they say stays a value", () => {
	const config = "scheduler: slurm\naccount: physics # who pays\nwalltime: 10m\n";
	expect(rendered(config, { account: 'a"b: c', max_blocks: 3 })).toMatchObject({ account: 'a"b: c', max_blocks: 3 });
	expect(rendered(config, {})).toMatchObject({ account: "physics", walltime: "10m" });
	expect(() => rendered(config, { max_blocks: 400 })).toThrow(/max_blocks must be <= 10/);
	expect(() => rendered(config, { scheduler: "local" })).toThrow(/additional properties/);
});

test("GC-9: braces of the machine's own settings are not the template language", () => {
	const config = 'scheduler: slurm\nscheduler_options: "#SBATCH --comment={{x}}{%y%}{#z#}"\n';
	expect(rendered(config, {})).toMatchObject({ scheduler_options: "#SBATCH --comment={{x}}{%y%}{#z#}" });
});
