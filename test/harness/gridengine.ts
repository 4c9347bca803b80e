/** A private Grid Engine cell of one host: own ports and directory, jobs of an ordinary user, all gone afterwards. */
import { type ExecFileException, execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ensureDebianPackages } from "./debian.ts";
import { makeOrdinaryUser, type OrdinaryUser } from "./ordinary-user.ts";
import { randomPort } from "./ports.ts";

export interface TestGridEngine {
	/** With it, `qsub` and its sisters are this cell's and are called by {@link user}; PATH is in it. */
	readonly environment: Readonly<Record<string, string>>;
	/** Who submits. Root's jobs are no example: Grid Engine does not kill all of their processes. */
	readonly user: { readonly name: string; readonly uid: number; readonly gid: number };
	/** What root has written into this directory is the user's whenever a program is called in their name. */
	give(directory: string): void;
	/** A program of Grid Engine, as its administrator; resolves with stdout. */
	administer(program: string, ...words: string[]): Promise<string>;
	/** Settings of the whole cell, as `qconf -sconf` names them. */
	setGlobal(settings: Readonly<Record<string, string>>): Promise<void>;
	/** The qmaster takes connections and says nothing, as on a machine that hangs, until it is thawed. */
	freezeMaster(): Promise<void>;
	thawMaster(): Promise<void>;
	/** kill -9 of the qmaster, as in a crash. It is not started again: hosts take up to a minute to find the next one. */
	killMaster(): Promise<void>;
	/** Ends jobs and daemons and removes everything. */
	stop(): Promise<void>;
}

const tools = "/usr/lib/gridengine";
const shared = "/usr/share/gridengine";
const architecture = "lx-amd64";
const startLimitMs = 60_000;
const commandLimitMs = 20_000;
const pollMs = 50;
const slots = 4;
const masterPidFile = "spool/qmaster/qmaster.pid";

/** What the parallel environments are called, and how each spreads its slots. */
const parallelEnvironments = { smp: "$pe_slots", mpi: "$fill_up" } as const;
/** The second one kills what takes longer. */
const queues = { "all.q": "INFINITY", "short.q": "0:0:30" } as const;

/** Throws when Grid Engine is not there and cannot be installed, or when this is not root's process. */
export async function startGridEngine(): Promise<TestGridEngine> {
	await ensureDebianPackages(["gridengine-master", "gridengine-exec", "gridengine-client"]);
	if (process.getuid?.() !== 0) throw new Error("Grid Engine's execd becomes the job's user: run these tests as root");
	const directory = await mkdtemp(join(tmpdir(), "errand-sge-"));
	const cell = new PrivateCell(directory, makeOrdinaryUser(), [await randomPort(), await randomPort()]);
	try {
		await cell.prepare();
		await cell.startMaster();
		await cell.configure();
		await cell.startHost();
	} catch (error) {
		await cell.stop();
		throw error;
	}
	return cell;
}

class PrivateCell implements TestGridEngine {
	readonly #directory: string;
	readonly #user: OrdinaryUser;
	readonly #ports: readonly [number, number];
	readonly user: TestGridEngine["user"];

	constructor(directory: string, user: OrdinaryUser, ports: readonly [number, number]) {
		this.#directory = directory;
		this.#user = user;
		this.#ports = ports;
		const { uid, gid } = user.account as { uid: number; gid: number };
		const line = readFileSync("/etc/passwd", "utf8")
			.split("\n")
			.find((account) => account.split(":")[2] === String(uid));
		this.user = { name: line?.split(":")[0] ?? "", uid, gid };
	}

	get #cellEnvironment(): Record<string, string> {
		return {
			SGE_ROOT: this.#at("root"),
			SGE_CELL: "default",
			SGE_QMASTER_PORT: String(this.#ports[0]),
			SGE_EXECD_PORT: String(this.#ports[1]),
		};
	}

	get environment(): Record<string, string> {
		return { ...this.#cellEnvironment, PATH: `${this.#at("bin")}:${process.env.PATH}` };
	}

	async prepare(): Promise<void> {
		await chmod(this.#directory, 0o755);
		const root = this.#at("root");
		for (const folder of [
			"bin",
			"spool/qmaster/job_scripts",
			"spool/execd",
			"root/bin",
			"root/lib",
			"root/utilbin",
			"root/default/common",
		])
			await mkdir(this.#at(folder), { recursive: true });
		await symlink(join(shared, "util"), join(root, "util"));
		for (const folder of ["bin", "lib", "utilbin"]) await symlink(tools, join(root, folder, architecture));
		const { uid, gid } = this.user;
		for (const program of ["qsub", "qstat", "qdel", "qacct", "qhold", "qalter", "qrsh"])
			await writeFile(
				this.#at(`bin/${program}`),
				`#!/bin/sh\nif [ "$(id -u)" != 0 ]; then exec ${tools}/${program} "$@"; fi\nif [ -s ${this.#at("gift")} ]; then chown -R ${uid}:${gid} "$(cat ${this.#at("gift")})"; fi\nexport HOME=${this.#user.home}\nexec setpriv --reuid=${uid} --regid=${gid} --clear-groups ${tools}/${program} "$@"\n`,
				{ mode: 0o755 },
			);
		const place = `${root}/default/common;${this.#at("spool/qmaster")}`;
		await writeFile(
			join(root, "default/common/bootstrap"),
			[
				"admin_user none",
				"default_domain none",
				"ignore_fqdn true",
				"spooling_method classic",
				"spooling_lib libspoolc",
				`spooling_params ${place}`,
				`binary_path ${root}/bin`,
				`qmaster_spool_dir ${this.#at("spool/qmaster")}`,
				"security_mode none",
				"listener_threads 2",
				"worker_threads 2",
				"scheduler_threads 1",
				"",
			].join("\n"),
		);
		// The machine's name may be an alias of 127.0.0.1, whose own name is another: they are declared the same host.
		await writeFile(join(root, "default/common/host_aliases"), `localhost ${hostname()}\n`);
		await writeFile(join(root, "default/common/act_qmaster"), "localhost\n");
		await this.#write("configuration", await this.#configuration());
		await this.administer("spoolinit", "classic", "libspoolc", place, "init");
		await this.administer("spooldefaults", "configuration", this.#at("configuration"));
		await this.administer("spooldefaults", "complexes", `${shared}/util/resources/centry`);
		await this.administer("spooldefaults", "usersets", `${shared}/util/resources/usersets`);
		await this.administer("spooldefaults", "managers", "root");
	}

	async startMaster(): Promise<void> {
		await this.administer("sge_qmaster");
		await this.#until("the qmaster answers", () => this.administer("qconf", "-sconf"));
	}

	async configure(): Promise<void> {
		await this.administer("qconf", "-as", "localhost");
		await this.administer("qconf", "-ah", "localhost");
		const scheduler = await this.administer("qconf", "-ssconf");
		const quick = { schedule_interval: "0:0:1", flush_submit_sec: "1", flush_finish_sec: "1", schedd_job_info: "true" };
		await this.administer("qconf", "-Msconf", await this.#write("scheduler", withSettings(scheduler, quick)));
		for (const [name, rule] of Object.entries(parallelEnvironments))
			await this.administer(
				"qconf",
				"-Ap",
				await this.#write(
					`pe-${name}`,
					settingsText({
						pe_name: name,
						slots: "999",
						user_lists: "NONE",
						xuser_lists: "NONE",
						start_proc_args: "NONE",
						stop_proc_args: "NONE",
						allocation_rule: rule,
						control_slaves: "TRUE",
						job_is_first_task: "FALSE",
						urgency_slots: "min",
						accounting_summary: "FALSE",
						qsort_args: "NONE",
					}),
				),
			);
		await this.administer(
			"qconf",
			"-Aprj",
			await this.#write("project", "name chemistry\noticket 0\nfshare 0\nacl NONE\nxacl NONE\n"),
		);
		// Grid Engine's own template of a queue names every attribute that this version has.
		const template = await this.administer("qconf", "-sq");
		for (const [name, limit] of Object.entries(queues)) {
			const own = {
				qname: name,
				hostlist: "localhost",
				pe_list: Object.keys(parallelEnvironments).join(" "),
				slots: String(slots),
				shell: "/bin/bash",
				shell_start_mode: "unix_behavior",
				notify: "00:00:02",
				load_thresholds: "NONE",
				h_rt: limit,
			};
			await this.administer("qconf", "-Aq", await this.#write(`queue-${name}`, withSettings(template, own)));
		}
	}

	async startHost(): Promise<void> {
		await this.administer("sge_execd");
		await this.#until("the host reports", async () => {
			const lines = await this.administer("qstat", "-f", "-q", "all.q");
			if (!/^all\.q@.*$/m.test(lines) || /^all\.q@.*(-NA-|\sau\s*$)/m.test(lines)) throw new Error(lines);
		});
	}

	give(directory: string): void {
		writeFileSync(this.#at("gift"), directory);
	}

	administer(program: string, ...words: string[]): Promise<string> {
		return new Promise((resolve, reject) => {
			execFile(
				join(tools, program),
				words,
				{ env: { ...process.env, ...this.#cellEnvironment, LC_ALL: "C" }, timeout: commandLimitMs },
				(error: ExecFileException | null, stdout, stderr) =>
					error
						? reject(new Error(`${program} ${words.join(" ")}: ${stderr}${stdout}`, { cause: error }))
						: resolve(stdout),
			);
		});
	}

	async setGlobal(settings: Readonly<Record<string, string>>): Promise<void> {
		const text = withSettings(await this.administer("qconf", "-sconf"), settings);
		await this.administer("qconf", "-Mconf", await this.#write("global", text));
	}

	async freezeMaster(): Promise<void> {
		process.kill(await this.#pidIn(masterPidFile), "SIGSTOP");
	}

	async thawMaster(): Promise<void> {
		process.kill(await this.#pidIn(masterPidFile), "SIGCONT");
	}

	async killMaster(): Promise<void> {
		await endProcess(await this.#pidIn(masterPidFile), "sge_qmaster");
	}

	async stop(): Promise<void> {
		await this.killMaster();
		for (const host of await readdir(this.#at("spool/execd")).catch(() => []))
			await endProcess(await this.#pidIn(`spool/execd/${host}/execd.pid`), "sge_execd");
		// The host's daemon leaves its shepherds and their jobs running.
		for (const pid of await this.#shepherds()) await endProcess(pid, "sge_shepherd");
		this.#user.remove();
		await rm(this.#directory, { recursive: true, force: true });
	}

	async #shepherds(): Promise<number[]> {
		const pids: number[] = [];
		for (const entry of await readdir("/proc")) {
			const line = /^\d+$/.test(entry) ? await readFile(`/proc/${entry}/environ`, "latin1").catch(() => "") : "";
			if (line.includes(`SGE_ROOT=${this.#at("root")}\0`)) pids.push(Number(entry));
		}
		return pids;
	}

	async #configuration(): Promise<string> {
		return withSettings(await readFile(`${shared}/default-configuration`, "utf8"), {
			execd_spool_dir: this.#at("spool/execd"),
			min_uid: "0",
			min_gid: "0",
			load_report_time: "00:00:01",
			max_unheard: "00:01:00",
			mailer: "/bin/true",
			reporting_params: "accounting=true reporting=false accounting_flush_time=00:00:00 joblog=false sharelog=00:00:00",
			shell_start_mode: "unix_behavior",
		});
	}

	async #write(name: string, text: string): Promise<string> {
		const path = this.#at(name);
		await writeFile(path, text);
		return path;
	}

	async #pidIn(path: string): Promise<number> {
		return Number((await readFile(this.#at(path), "utf8").catch(() => "")).trim());
	}

	async #until(what: string, attempt: () => Promise<unknown>): Promise<void> {
		const untilMs = Date.now() + startLimitMs;
		for (;;) {
			try {
				await attempt();
				return;
			} catch (cause) {
				if (Date.now() > untilMs) throw new Error(`not within ${startLimitMs} ms: ${what}`, { cause });
			}
			await delay(pollMs);
		}
	}

	#at(path: string): string {
		return join(this.#directory, path);
	}
}

/** Ends that process, unless its number is another program's by now. */
async function endProcess(pid: number, program: string): Promise<void> {
	const name = (): string => {
		try {
			return basename(readFileSync(`/proc/${pid}/comm`, "utf8").trim());
		} catch {
			return "";
		}
	};
	if (!(pid > 1) || name() !== program) return;
	process.kill(pid, "SIGKILL");
	while (name() === program && !/^\d+ \(.*\) Z/.test(await readFile(`/proc/${pid}/stat`, "latin1").catch(() => "")))
		await delay(pollMs);
}

function settingsText(settings: Readonly<Record<string, string>>): string {
	return `${Object.entries(settings)
		.map(([name, value]) => `${name} ${value}`)
		.join("\n")}\n`;
}

/** Grid Engine's own text of settings, a line each (a backslash goes on), with other values. */
function withSettings(text: string, changed: Readonly<Record<string, string>>): string {
	const lines = text.replaceAll("\\\n", " ").split("\n");
	const settings = lines
		.filter((line) => line.trim() !== "" && !line.startsWith("#"))
		.map((line) => [line.split(/\s+/, 1)[0] as string, line.replace(/^\S+\s+/, "")] as const);
	return settingsText({ ...Object.fromEntries(settings), ...changed });
}
