import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { survey } from "./survey.ts";

const folder = fileURLToPath(new URL("../../../deploy/sites", import.meta.url));
const nobody = { hostname: "laptop", user: "ada", environment: {}, ask: async () => undefined };
const request = { site: undefined, scheduler: undefined, detect: false };
const onSlurm = {
	...nobody,
	ask: async (program: string) =>
		program === "sinfo" ? "short*|4|16|64000|(null)\n" : program === "sacctmgr" ? "physics\n" : undefined,
};

test("NEW-10: a name that is a site's selects it, without a question that the site answers", async () => {
	const found = await survey({ ...request, name: "polaris" }, folder, nobody);
	expect(found).toMatchObject({ site: "polaris", title: "Polaris", scheduler: "pbs" });
	const [account, queue] = found.questions;
	expect(account).toMatchObject({ setting: "account", value: null, required: true });
	expect(queue).toMatchObject({ setting: "queue", value: "debug", required: false });
	expect(queue?.choices).toContain("prod");
	expect(found.found.join(" ")).toMatch(/no network interface hsn0/);
});

test("NEW-10: a login node that we know by its name needs no --site", async () => {
	const found = await survey({ ...request, name: "mine" }, folder, { ...nobody, hostname: "crux-login-02" });
	expect(found.site).toBe("crux");
	expect(
		(await survey({ ...request, name: "mine", detect: true }, folder, { ...nobody, hostname: "crux-login-02" })).site,
	).toBeNull();
});

test("NEW-10: what the scheduler tells is what Enter takes", async () => {
	const found = await survey({ ...request, name: "cluster" }, folder, onSlurm);
	const values = Object.fromEntries(found.questions.map(({ setting, value }) => [setting, value]));
	expect(found).toMatchObject({ site: null, scheduler: "slurm" });
	expect(values).toMatchObject({
		account: "physics",
		queue: "short",
		cores_per_node: "16",
		memory_per_node: "64000MiB",
	});
	expect(found.questions.every(({ required }) => !required)).toBe(true);
	expect(found.found[0]).toContain("slurm answers on this machine: queues short, 16 cores");
});

test("the endpoint called local is this machine, and so is one where nothing answers", async () => {
	expect(await survey({ ...request, name: "local" }, folder, onSlurm)).toMatchObject({
		scheduler: "local",
		questions: [],
	});
	const lone = await survey({ ...request, name: "desk" }, folder, nobody);
	expect(lone).toMatchObject({ scheduler: "local", questions: [] });
	expect(lone.found.join()).toContain("No batch scheduler answers");
});

test("a scheduler that was named is taken also when it is silent", async () => {
	const found = await survey({ ...request, name: "x", scheduler: "ssh" }, folder, nobody);
	expect(found.questions[0]).toMatchObject({ setting: "hosts", required: true });
	expect((await survey({ ...request, name: "x", scheduler: "lsf" }, folder, nobody)).found.join()).toContain(
		"lsf does not answer",
	);
});
