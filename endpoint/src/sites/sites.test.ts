import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { SchedulerName } from "@errand/proto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type EndpointConfig, type KubernetesConfig, parseConfig, readConfig } from "../config/config.ts";
import type { QueueConfig } from "../config/queue.ts";
import { openFluxScheduler } from "../scheduler/flux/flux.ts";
import { openGridEngineScheduler } from "../scheduler/gridengine/gridengine.ts";
import { openCondorScheduler } from "../scheduler/htcondor/htcondor.ts";
import { openKubernetesScheduler } from "../scheduler/kubernetes/kubernetes.ts";
import { openLsfScheduler } from "../scheduler/lsf/lsf.ts";
import { openPbsScheduler } from "../scheduler/pbs/pbs.ts";
import type { Scheduler, SchedulerOptions } from "../scheduler/scheduler.ts";
import { openSlurmScheduler } from "../scheduler/slurm/slurm.ts";
import { openTorqueScheduler } from "../scheduler/torque/torque.ts";
import { silentLogger } from "../service/logger.ts";
import { configText, presetValue } from "./config-text.ts";
import { writeInitialConfig } from "./initial-config.ts";
import { AnswerFault, isHere, parseSite, type Site } from "./site.ts";
import { readSite, siteNames } from "./site-files.ts";
import { sitePage, sitesIndex } from "./site-page.test-harness.ts";

const folder = fileURLToPath(new URL("../../../deploy/sites", import.meta.url));
const names = siteNames(folder);

let directory: string;
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "errand-sites-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** What the example of each question would answer. */
const examples = (site: Site): Record<string, string> =>
	Object.fromEntries(
		site.ask.flatMap(({ setting, example, optional }) =>
			example !== undefined && !optional && presetValue(site, setting) === undefined ? [[setting, example]] : [],
		),
	);
const configOf = (site: Site, answers = examples(site)): string =>
	configText(site, answers, { name: site.name, directory: "/endpoints/one" });

test("NEW-10: every site that the field's documents name has a preset", () => {
	for (const name of [
		...["polaris", "aurora", "crux", "sophia", "perlmutter", "frontier", "andes", "delta", "anvil", "expanse"],
		...["bridges2", "midway3", "frontera", "stampede3", "mahuika", "improv", "faster", "bebop", "osg", "kubernetes"],
		...["hazel", "cc-in2p3", "uchicago-ai"],
	])
		expect(names).toContain(name);
});

describe.each(names)("NEW-10: the preset %s", (name) => {
	test("becomes a configuration that the daemon takes, with what its questions have as examples", () => {
		const site = readSite(folder, name);
		const config = parseConfig(configOf(site), "config.yaml", "/endpoints/one");
		expect(config.scheduler).not.toBe("local");
		expect(config.queues).toHaveLength(1);
		// Nothing is submitted before there is a task: a preset costs nobody node hours by itself.
		expect(config.queues[0]).toMatchObject({ initBlocks: 0, minBlocks: 0 });
		for (const { setting, becomes } of site.ask)
			expect(site.config.hasIn((becomes?.setting ?? setting).split(".")), setting).toBe(true);
	});

	test("cannot be configured without what only the person knows", () => {
		const site = readSite(folder, name);
		const needed = Object.keys(examples(site));
		if (needed.length === 0) expect(configOf(site, {})).toContain("scheduler:");
		else expect(() => configOf(site, {})).toThrow(new RegExp(`not said: ${needed[0]}`));
	});
});

const adapters: {
	readonly [Name in SchedulerName]?: (options: SchedulerOptions, config: EndpointConfig) => Scheduler;
} = {
	slurm: openSlurmScheduler,
	pbs: openPbsScheduler,
	torque: openTorqueScheduler,
	gridengine: openGridEngineScheduler,
	lsf: openLsfScheduler,
	htcondor: openCondorScheduler,
	flux: openFluxScheduler,
	kubernetes: (options, { kubernetes }) => openKubernetesScheduler(options, kubernetes as KubernetesConfig),
};
const withAdapter = names.filter((name) => adapters[configuredScheduler(name)] !== undefined);

function configuredScheduler(name: string): SchedulerName {
	return presetValue(readSite(folder, name), "scheduler") as SchedulerName;
}

/** What is submitted for a block of this preset, everything that differs between endpoints being fixed. */
function scriptOf(name: string): string {
	const config = parseConfig(configOf(readSite(folder, name)), "config.yaml", "/endpoints/one");
	const open = adapters[config.scheduler] as NonNullable<(typeof adapters)[SchedulerName]>;
	const scheduler = open(
		{ directory: "/home/ada/.errand/endpoints/one", commandTimeoutMs: 1000, log: silentLogger },
		config,
	);
	const queue = config.queues[0] as QueueConfig;
	const blockId = "0192f0c1-0000-7000-8000-00000000b10c";
	const script = scheduler.script({
		blockId,
		jobName: "errand-one-0000b10c",
		command: ["/home/ada/errand/lib/node", "/home/ada/errand/lib/manager.mjs"],
		environment: { ERRAND_BLOCK_ID: blockId },
		workerInit: queue.workerInit,
		nodes: queue.nodesPerBlock,
		logPath: `/home/ada/.errand/endpoints/one/logs/block-${blockId}.log`,
		queue,
	});
	scheduler.close();
	return script;
}

test.each(withAdapter)("NEW-10: %s becomes exactly this batch script", async (name) => {
	await expect(scriptOf(name)).toMatchFileSnapshot(join(folder, "golden", `${name}.txt`));
});

describe("the documentation", () => {
	const pages = fileURLToPath(new URL("../../../docs/sites", import.meta.url));

	test.each(names)("of %s is what its preset says", async (name) => {
		const site = readSite(folder, name);
		const script = withAdapter.includes(name) ? scriptOf(name) : undefined;
		await expect(sitePage(site, configOf(site), script)).toMatchFileSnapshot(join(pages, `${name}.md`));
	});

	test("lists every site, and no other has a page or a golden file", async () => {
		const sites = names.map((name) => readSite(folder, name));
		await expect(sitesIndex(sites)).toMatchFileSnapshot(join(pages, "README.md"));
		expect(readdirSync(pages).sort()).toEqual(["README.md", ...names.map((name) => `${name}.md`)].sort());
		expect(readdirSync(join(folder, "golden")).sort()).toEqual(withAdapter.map((name) => `${name}.txt`).sort());
	});
});

describe("answers", () => {
	const polaris = readSite(folder, "polaris");

	test("keep the comments of the preset, and are text where the setting takes text", () => {
		const text = configOf(polaris, { account: "1234", max_blocks: "4", walltime: "30:00:00", exclusive: "false" });
		expect(text).toContain('# The ALCF project that pays.\naccount: "1234"\n');
		expect(parseConfig(text, "config.yaml", "/d").queues[0]).toMatchObject({
			account: "1234",
			maxBlocks: 4,
			walltimeMs: 30 * 3_600_000,
			exclusive: false,
			gpuIds: ["0", "1", "2", "3"],
		});
	});

	test("queue and partition are one thing", () => {
		const text = configOf(readSite(folder, "anvil"), { account: "a", queue: "wide" });
		expect(text).toContain("partition: wide\n");
		expect(text).not.toContain("queue:");
	});

	test("that make no sense are refused with the setting's name", () => {
		const answer = (more: Record<string, string>) => () => configOf(polaris, { account: "a", ...more });
		expect(answer({ walltime: "soon" })).toThrow(/walltime: a time/);
		expect(answer({ colour: "red" })).toThrow(/colour: there is no such setting/);
		expect(answer({ max_blocks: "many" })).toThrow(/max_blocks/);
		expect(answer({ "account\nscheduler_options": "x" })).toThrow(AnswerFault);
	});

	test("cannot smuggle lines into the batch script's header", () => {
		expect(() => configOf(polaris, { account: "a\n#PBS -q free" })).toThrow(/account: one line/);
	});

	test("may become a line of another setting", () => {
		const osg = readSite(folder, "osg");
		const { queues } = parseConfig(configOf(osg, { ...examples(osg), account: "Mine" }), "config.yaml", "/d");
		expect(queues[0]?.schedulerOptions).toMatch(
			/^requirements = .*\n\+ProjectName = "Mine"\n\+SingularityImage = ".*"\n$/,
		);
		expect(() => configOf(osg, { ...examples(osg), account: 'x"\n+evil = 1' })).toThrow(/without quotes/);
	});

	test("without an optional one the setting stays as a comment", () => {
		const text = configOf(readSite(folder, "bebop"), {});
		expect(text).toContain("# account: MyAllocation   # LCRC allocation that pays\n");
	});
});

describe("a new endpoint's config.yaml", () => {
	const init = (more: object) =>
		writeInitialConfig(directory, { name: "one", site: undefined, scheduler: undefined, answers: {}, ...more }, folder);

	test("is private, and one that is there stays", () => {
		expect(init({ site: "polaris", answers: { account: "mine" } })).toBe(true);
		const file = join(directory, "config.yaml");
		expect(statSync(file).mode & 0o777).toBe(0o600);
		expect(readConfig(directory)).toMatchObject({ scheduler: "pbs" });
		expect(init({ site: "crux", answers: { account: "mine" } })).toBe(false);
		expect(readFileSync(file, "utf8")).toContain("Polaris");
	});

	test("without a preset it is the scheduler's, or this machine's", () => {
		init({ scheduler: "slurm", answers: { account: "m1", cores_per_node: "64", walltime: "2h" } });
		expect(readConfig(directory).queues[0]).toMatchObject({ account: "m1", coresPerNode: 64, walltimeMs: 7_200_000 });
		rmSync(join(directory, "config.yaml"));
		init({ answers: { workers_per_node: "3" } });
		expect(readConfig(directory)).toMatchObject({ scheduler: "local", queues: [{ workersPerNode: 3 }] });
	});

	test("may come from a description of one's own", () => {
		const own = join(directory, "ours.yaml");
		writeFileSync(own, readFileSync(join(folder, "bebop.yaml"), "utf8").replaceAll("bdws", "ours"));
		init({ site: own });
		expect(readConfig(directory).queues[0]?.queue).toBe("ours");
		expect(() => init({ site: "atlantis" })).toThrow(/no site "atlantis"; there are andes/);
		expect(() => init({ site: "./nowhere.yaml" })).toThrow(/cannot be read/);
	});
});

describe("a description of a site", () => {
	const good = "title: A\nfacility: B\ndocumentation: https://example.org\nsources: [x]\n";

	test("that is wrong says where", () => {
		expect(() => parseSite("a", `${good}hosts: 3\nconfig: {}`, "a.yaml")).toThrow(/hosts: .* \(line 5\)/);
		expect(() => parseSite("a", `${good}config:\n  scheduler: slurm\n  account:\n`, "a.yaml")).toThrow(
			/leaves account open/,
		);
		expect(() => parseSite("a", "title: [", "a.yaml")).toThrow(/a.yaml is no YAML: line 1/);
	});

	test("is known by the login node's name or by its environment", () => {
		const here = (hostname: string, environment: NodeJS.ProcessEnv = {}) =>
			names.filter((name) => isHere(readSite(folder, name), { hostname, environment }));
		expect(here("polaris-login-02")).toEqual(["polaris"]);
		expect(here("aurora-uan-0009.hostmgmt.cm.aurora.alcf.anl.gov")).toEqual(["aurora"]);
		expect(here("login12", { NERSC_HOST: "perlmutter" })).toEqual(["perlmutter"]);
		expect(here("login1.frontera.tacc.utexas.edu")).toEqual(["frontera"]);
		expect(here("laptop")).toEqual([]);
	});
});
