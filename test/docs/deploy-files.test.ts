import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { configVariables } from "@errand/cloud/config";
import { expect, test } from "vitest";
import { parse } from "yaml";

const deploy = (path: string) => fileURLToPath(new URL(`../../deploy/${path}`, import.meta.url));

test("the compose file is sound, and sets only variables that the cloud reads", () => {
	const compose = parse(readFileSync(deploy("compose/compose.yaml"), "utf8"));
	expect(Object.keys(compose.services)).toEqual(["cloud", "database", "broker", "proxy"]);
	for (const name of Object.keys(compose.services.cloud.environment))
		expect(Object.keys(configVariables.shape)).toContain(name);
	for (const service of Object.values<{ volumes?: string[] }>(compose.services))
		for (const volume of service.volumes ?? []) {
			const source = volume.split(":")[0] ?? "";
			if (/^[a-z]+$/.test(source)) expect(Object.keys(compose.volumes)).toContain(source);
		}
	const asked = [...readFileSync(deploy("compose/compose.yaml"), "utf8").matchAll(/\$\{([A-Z_]+)/g)].map((m) => m[1]);
	const example = readFileSync(deploy("compose/env.example"), "utf8");
	for (const variable of new Set(asked)) expect(example).toContain(`${variable}=`);
});

test.each(["errand-cloud.service", "errand-endpoint@.service"])("systemd finds no fault in %s", (unit) => {
	const text = readFileSync(deploy(`systemd/${unit}`), "utf8");
	const sections = [...text.matchAll(/^\[(\w+)\]$/gm)].map((m) => m[1]);
	expect(sections).toEqual(["Unit", "Service", "Install"]);
	for (const line of text.split("\n"))
		expect(line === "" || line.startsWith("#") || line.startsWith("[") || /^[A-Z][A-Za-z]+=/.test(line)).toBe(true);
	const exec = /^ExecStart=.*?(\S+\.ts)$/m.exec(text)?.[1]?.replace("/opt/errand/", "");
	if (exec) execFileSync("test", ["-f", fileURLToPath(new URL(`../../${exec}`, import.meta.url))]);
});
