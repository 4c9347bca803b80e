/** A private Slurm for one test file: munge, a controller and several nodes, all children of the test, gone afterwards. */
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, readlinkSync, rmdirSync, writeFileSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { hostname, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { ensureDebianPackages } from "./debian.ts";
import { type NodeNetwork, openNodeNetwork } from "./node-network.ts";
import { freePorts } from "./ports.ts";

const run = promisify(execFile);
const cgroups = "/sys/fs/cgroup";
const startTimeoutMs = 20_000;
const lookMs = 30;

/** With control groups nothing that a job started survives it; without, what left its session does. */
export const tracksByControlGroup = process.getuid?.() === 0 && existsSync(join(cgroups, "freezer"));

/** Those that a test which failed has left; they end with the test program. */
const alive = new Set<ChildProcess>();
process.on("exit", () => {
	for (const child of alive) child.kill("SIGKILL");
});

export interface SlurmOptions {
	/** 4 unless said. */
	readonly nodes?: number;
	/** Each node is a host of its own, whose cable can be pulled. Needs root. */
	readonly network?: boolean;
	/** More lines of slurm.conf. */
	readonly lines?: readonly string[];
	/** The text of job_submit.lua: what a site makes of the jobs it is given. */
	readonly siteRules?: string;
}

/** With the partitions debug (30 minutes), long (a day), single (one node), closed (down) and drained (inactive). */
export interface TestSlurm {
	/** What Slurm's programs, and a daemon that runs them, need. */
	readonly environment: Readonly<Record<string, string>>;
	readonly nodes: readonly string[];
	readonly directory: string;
	/** Where managers in the nodes' jobs reach this machine; undefined without `network`: the loopback. */
	readonly address: string | undefined;
	/** Runs one of Slurm's programs → its stdout. Rejects with what it said. */
	command(program: string, ...words: string[]): Promise<string>;
	/** kill -9. */
	killController(): Promise<void>;
	/** SIGTERM: it saves what it knows. */
	stopController(): Promise<void>;
	startController(): Promise<void>;
	/** Stops it in order, keeps what it has saved, and starts it again. */
	keepMemory(): Promise<void>;
	/** kill -9, and a start with what was kept: as if it had not saved anything since. */
	loseMemory(): Promise<void>;
	/** It lives and does not answer. */
	pauseController(): void;
	/** Resolves when it answers again. */
	resumeController(): Promise<void>;
	/** The node's daemon and everything that runs there die. */
	killNode(name: string): Promise<void>;
	startNode(name: string): Promise<void>;
	/** The node works on; nobody reaches it. */
	unplug(name: string): void;
	plug(name: string): void;
	/** Of this cluster's jobs and steps, wherever they are. */
	processesLeft(): number[];
	stop(): Promise<void>;
}

/** Throws when Slurm is not there and cannot be installed. */
export async function startSlurm(options: SlurmOptions = {}): Promise<TestSlurm> {
	await ensureDebianPackages(["slurm-wlm", "munge", ...(options.network ? ["iproute2"] : [])]);
	const directory = await mkdtemp(join(tmpdir(), "errand-slurm-"));
	const tag = randomBytes(2).toString("hex");
	// Names of nodes are names of control groups: no other cluster of this machine may have them.
	const nodes = Array.from({ length: options.nodes ?? 4 }, (_, i) => `s${tag}n${i + 1}`);
	const network = options.network ? openNodeNetwork(tag, nodes) : undefined;
	const cluster = new PrivateSlurm(directory, nodes, network, await freePorts(nodes.length + 1));
	try {
		await cluster.prepare(options);
		await cluster.start();
	} catch (error) {
		await cluster.stop();
		throw error;
	}
	return cluster;
}

class PrivateSlurm implements TestSlurm {
	readonly directory: string;
	readonly nodes: readonly string[];
	readonly environment: Readonly<Record<string, string>>;
	readonly #network: NodeNetwork | undefined;
	readonly #ports: readonly number[];
	readonly #daemons = new Map<string, ChildProcess>();

	constructor(directory: string, nodes: readonly string[], network: NodeNetwork | undefined, ports: readonly number[]) {
		this.directory = directory;
		this.nodes = nodes;
		this.#network = network;
		this.#ports = ports;
		this.environment = { SLURM_CONF: this.#at("etc/slurm.conf") };
	}

	get address(): string | undefined {
		return this.#network?.address;
	}

	#at(path: string): string {
		return join(this.directory, path);
	}

	async prepare(options: SlurmOptions): Promise<void> {
		for (const name of ["etc", "run", "log", "state/controller", "spool", "dev"])
			await mkdir(this.#at(name), { recursive: true, mode: 0o755 });
		execFileSync("chmod", ["755", this.directory]);
		for (const node of this.nodes) await mkdir(this.#at(`spool/${node}`));
		writeFileSync(this.#at("etc/munge.key"), randomBytes(128), { mode: 0o600 });
		for (const gpu of [0, 1])
			if (process.getuid?.() === 0) execFileSync("mknod", [this.#at(`dev/gpu${gpu}`), "c", "1", "3"]);
			else writeFileSync(this.#at(`dev/gpu${gpu}`), "");
		writeFileSync(
			this.#at("etc/gres.conf"),
			this.nodes.map((node) => `NodeName=${node} Name=gpu File=${this.#at("dev")}/gpu[0-1]\n`).join(""),
		);
		// Without the mount, every job "completes" and none has run.
		writeFileSync(
			this.#at("etc/cgroup.conf"),
			`CgroupPlugin=cgroup/v1\nCgroupMountpoint=${cgroups}\nCgroupAutomount=yes\nConstrainCores=no\nConstrainRAMSpace=yes\nConstrainSwapSpace=no\n`,
		);
		if (options.siteRules !== undefined) writeFileSync(this.#at("etc/job_submit.lua"), options.siteRules);
		writeFileSync(this.#at("etc/slurm.conf"), this.#configuration(options));
	}

	#configuration({ lines = [], siteRules }: SlurmOptions): string {
		const user = userInfo().username;
		const byCgroup = tracksByControlGroup;
		const head = hostname();
		return [
			"ClusterName=errand",
			`SlurmctldHost=${head}(${this.address ?? "127.0.0.1"})`,
			`SlurmctldPort=${this.#ports[0]}`,
			`SlurmUser=${user}`,
			`SlurmdUser=${user}`,
			"AuthType=auth/munge",
			`AuthInfo=socket=${this.#at("run/munge.sock")}`,
			`StateSaveLocation=${this.#at("state/controller")}`,
			`SlurmdSpoolDir=${this.#at("spool")}/%n`,
			`SlurmctldPidFile=${this.#at("run/slurmctld.pid")}`,
			`SlurmdPidFile=${this.#at("run")}/slurmd.%n.pid`,
			`SlurmctldLogFile=${this.#at("log/slurmctld.log")}`,
			`SlurmdLogFile=${this.#at("log")}/slurmd.%n.log`,
			"MailProg=/bin/true",
			`ProctrackType=proctrack/${byCgroup ? "cgroup" : "linuxproc"}`,
			`TaskPlugin=task/${byCgroup ? "cgroup" : "none"}`,
			`JobAcctGatherType=jobacct_gather/${byCgroup ? "cgroup" : "none"}`,
			"MpiDefault=none",
			// Nodes claim more than the machine has.
			"SlurmdParameters=config_overrides",
			"ReturnToService=2",
			"SelectType=select/cons_tres",
			"SelectTypeParameters=CR_CPU_Memory",
			// Else a job that names no memory takes the whole node's.
			"DefMemPerCPU=50",
			"GresTypes=gpu",
			"EnforcePartLimits=ALL",
			"AccountingStorageType=accounting_storage/none",
			// A test waits seconds where a site waits minutes.
			"SchedulerType=sched/backfill",
			"SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1,bf_interval=1",
			"SlurmctldTimeout=10",
			"SlurmdTimeout=10",
			"MessageTimeout=5",
			"TCPTimeout=2",
			"KillWait=2",
			"CompleteWait=0",
			"UnkillableStepTimeout=30",
			"MinJobAge=3600",
			...(siteRules === undefined ? [] : ["JobSubmitPlugins=lua"]),
			"NodeName=DEFAULT CPUs=8 RealMemory=2000 Gres=gpu:2 Feature=lab State=UNKNOWN",
			...this.nodes.map(
				(node, i) =>
					`NodeName=${node} NodeHostname=${this.#network ? node : head} NodeAddr=${this.#network?.addressOf(node) ?? "127.0.0.1"} Port=${this.#ports[i + 1]}`,
			),
			"PartitionName=debug Nodes=ALL Default=YES PriorityTier=100 MaxTime=30 DefaultTime=5 State=UP",
			"PartitionName=long Nodes=ALL MaxTime=1-00:00:00 DefaultTime=60 State=UP",
			`PartitionName=single Nodes=${this.nodes[0]} MaxNodes=1 MaxTime=10 State=UP`,
			"PartitionName=closed Nodes=ALL MaxTime=10 State=DOWN",
			"PartitionName=drained Nodes=ALL MaxTime=10 State=INACTIVE",
			...lines,
			"",
		].join("\n");
	}

	async start(): Promise<void> {
		this.#spawn("munged", undefined, [
			"munged",
			"--foreground",
			"--force",
			`--key-file=${this.#at("etc/munge.key")}`,
			`--socket=${this.#at("run/munge.sock")}`,
			`--pid-file=${this.#at("run/munged.pid")}`,
			`--log-file=${this.#at("log/munged.log")}`,
			`--seed-file=${this.#at("state/munge.seed")}`,
		]);
		await this.#until("munged answers", async () => existsSync(this.#at("run/munge.sock")));
		await this.startController();
		for (const node of this.nodes) this.#spawnNode(node);
		await this.#until("every node is idle", async () => (await this.#idleNodes()) === this.nodes.length);
	}

	async #idleNodes(): Promise<number> {
		const words = await this.command("sinfo", "-h", "-N", "-p", "debug", "-t", "idle,mixed,allocated", "-o", "%N");
		return new Set(words.split("\n").filter((word) => word !== "")).size;
	}

	async command(program: string, ...words: string[]): Promise<string> {
		const { stdout } = await run(program, words, {
			env: { PATH: process.env.PATH, LC_ALL: "C", ...this.environment },
			timeout: 20_000,
		});
		return stdout;
	}

	#spawn(name: string, host: string | undefined, words: readonly string[]): void {
		const [program, ...rest] = host === undefined || !this.#network ? words : this.#network.on(host, words);
		const child = spawn(program as string, rest, {
			stdio: "ignore",
			env: { PATH: process.env.PATH, LC_ALL: "C", ...this.environment },
		});
		alive.add(child);
		child.once("exit", () => {
			alive.delete(child);
			if (this.#daemons.get(name) === child) this.#daemons.delete(name);
		});
		this.#daemons.set(name, child);
	}

	#spawnNode(name: string): void {
		this.#spawn(name, name, ["slurmd", "-D", "-f", this.#at("etc/slurm.conf"), "-N", name]);
	}

	async startController(): Promise<void> {
		this.#spawn("slurmctld", undefined, ["slurmctld", "-D", "-f", this.#at("etc/slurm.conf")]);
		await this.#until("the controller answers", async () => / UP/.test(await this.command("scontrol", "ping")));
	}

	killController(): Promise<void> {
		return this.#end("slurmctld", "SIGKILL");
	}

	stopController(): Promise<void> {
		return this.#end("slurmctld", "SIGTERM");
	}

	async keepMemory(): Promise<void> {
		await this.stopController();
		await cp(this.#at("state/controller"), this.#at("state/kept"), { recursive: true });
		await this.startController();
	}

	async loseMemory(): Promise<void> {
		await this.killController();
		await rm(this.#at("state/controller"), { recursive: true });
		await cp(this.#at("state/kept"), this.#at("state/controller"), { recursive: true });
		await this.startController();
	}

	pauseController(): void {
		this.#daemons.get("slurmctld")?.kill("SIGSTOP");
	}

	async resumeController(): Promise<void> {
		this.#daemons.get("slurmctld")?.kill("SIGCONT");
		await this.#until("the controller answers", async () => / UP/.test(await this.command("scontrol", "ping")));
	}

	async killNode(name: string): Promise<void> {
		await this.#end(name, "SIGKILL");
		for (const pid of this.#processesOf([name])) kill(pid);
	}

	async startNode(name: string): Promise<void> {
		this.#spawnNode(name);
		const isUp = async () => /idle|mix|alloc/.test(await this.command("sinfo", "-h", "-n", name, "-o", "%T"));
		await this.#until(`${name} is back`, isUp);
	}

	unplug(name: string): void {
		this.#network?.unplug(name);
	}

	plug(name: string): void {
		this.#network?.plug(name);
	}

	processesLeft(): number[] {
		return this.#processesOf(this.nodes);
	}

	/** Step daemons (each holds its node's log open), their children, and what is in the nodes' control groups. */
	#processesOf(nodes: readonly string[]): number[] {
		const found = new Set<number>();
		const logs = new Set(nodes.map((node) => this.#at(`log/slurmd.${node}.log`)));
		for (const pid of namesIn("/proc").filter((entry) => /^\d+$/.test(entry)))
			if (textOf(`/proc/${pid}/comm`).trim() === "slurmstepd" && holdsOpen(pid, logs)) {
				found.add(Number(pid));
				for (const child of textOf(`/proc/${pid}/task/${pid}/children`).split(" ")) if (child) found.add(Number(child));
			}
		for (const node of nodes)
			for (const root of cgroupsOf(node))
				for (const directory of treeOf(root))
					for (const pid of textOf(join(directory, "cgroup.procs")).split("\n")) if (pid) found.add(Number(pid));
		return [...found].filter((pid) => pid !== process.pid);
	}

	async #end(name: string, signal: NodeJS.Signals): Promise<void> {
		const daemon = this.#daemons.get(name);
		if (!daemon || daemon.exitCode !== null || daemon.signalCode !== null) return;
		const gone = once(daemon, "exit");
		daemon.kill(signal);
		await gone;
		this.#daemons.delete(name);
	}

	async stop(): Promise<void> {
		for (const name of [...this.#daemons.keys()].filter((one) => one !== "munged")) await this.#end(name, "SIGKILL");
		// What jobs started goes on without its daemon: until nothing starts anything any more.
		await this.#until("what jobs started is gone", async () => {
			const left = this.processesLeft();
			for (const pid of left) kill(pid);
			return left.length === 0;
		});
		await this.#end("munged", "SIGTERM");
		for (const node of this.nodes)
			for (const root of cgroupsOf(node))
				await this.#until(`${root} is empty`, async () => {
					for (const directory of treeOf(root).reverse()) rmdirSync(directory);
					return true;
				});
		this.#network?.close();
		await rm(this.directory, { recursive: true, force: true });
	}

	async #until(what: string, isSo: () => Promise<boolean>): Promise<void> {
		const untilMs = performance.now() + startTimeoutMs;
		let last: unknown;
		while (
			!(await isSo().catch((error: unknown) => {
				last = error;
				return false;
			}))
		) {
			if (performance.now() > untilMs) {
				const log = await readFile(this.#at("log/slurmctld.log"), "utf8").catch(() => "no log");
				throw new Error(`Slurm: not in time: ${what} (${String(last)})\n${log.slice(-2000)}`);
			}
			await delay(lookMs);
		}
	}
}

function namesIn(directory: string): string[] {
	try {
		return readdirSync(directory);
	} catch {
		return [];
	}
}

function textOf(file: string): string {
	try {
		return readFileSync(file, "utf8");
	} catch {
		return ""; // it has ended meanwhile
	}
}

function holdsOpen(pid: string, files: ReadonlySet<string>): boolean {
	return namesIn(`/proc/${pid}/fd`).some((fd) => files.has(linkOf(`/proc/${pid}/fd/${fd}`)));
}

const cgroupsOf = (node: string): string[] =>
	namesIn(cgroups)
		.map((hierarchy) => join(cgroups, hierarchy, `slurm_${node}`))
		.filter((path) => existsSync(path));

/** The directory and all below, parents first. */
function treeOf(directory: string): string[] {
	const below = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory());
	return [directory, ...below.flatMap((entry) => treeOf(join(directory, entry.name)))];
}

function kill(pid: number): void {
	try {
		process.kill(pid, "SIGKILL");
	} catch {
		// it has ended meanwhile
	}
}

function linkOf(path: string): string {
	try {
		return readlinkSync(path);
	} catch {
		return "";
	}
}
