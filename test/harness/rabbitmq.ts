/** A private RabbitMQ for one test suite: own ports, node name, cookie, port mapper and directory, all gone afterwards. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ensureDebianPackages } from "./debian.ts";

export interface TestRabbitmq {
	readonly amqpUrl: string;
	readonly managementUrl: string;
	readonly user: string;
	readonly password: string;
	/** Of the Erlang machine, for who measures it; another one after a restart. */
	readonly pid: number;
	/** kill -9 of the broker, as in a crash. */
	kill(): Promise<void>;
	/** Starts it again on the same ports and data; orderly stop first when it runs. */
	restart(): Promise<void>;
	/** Ends everything and removes the directory. */
	stop(): Promise<void>;
}

/** The scripts behind Debian's wrappers, which would change user and directory. */
const scripts = "/usr/lib/rabbitmq/bin";
const startTimeoutMs = 60_000;
const stopTimeoutMs = 30_000;
const pollMs = 50;

/** Throws when RabbitMQ is not there and cannot be installed. */
export async function startRabbitmq(): Promise<TestRabbitmq> {
	await ensureDebianPackages(["rabbitmq-server"]);
	const directory = await mkdtemp(join(tmpdir(), "errand-rabbitmq-"));
	const broker = new PrivateRabbitmq(directory, await freePorts(4));
	try {
		await broker.prepare();
		await broker.start();
	} catch (error) {
		await broker.stop();
		throw error;
	}
	return broker;
}

class PrivateRabbitmq implements TestRabbitmq {
	readonly user = "admin";
	readonly password = randomBytes(18).toString("base64url");
	readonly #directory: string;
	readonly #ports: { amqp: number; management: number; distribution: number; epmd: number };
	#epmd: ChildProcess | undefined;
	#launcher: ChildProcess | undefined;

	constructor(directory: string, ports: number[]) {
		this.#directory = directory;
		const [amqp = 0, management = 0, distribution = 0, epmd = 0] = ports;
		this.#ports = { amqp, management, distribution, epmd };
	}

	get amqpUrl(): string {
		return `amqp://${this.user}:${this.password}@127.0.0.1:${this.#ports.amqp}/%2F`;
	}

	get pid(): number {
		return Number(readFileSync(this.#pidFile, "utf8").trim());
	}

	get managementUrl(): string {
		return `http://${this.user}:${this.password}@127.0.0.1:${this.#ports.management}`;
	}

	async prepare(): Promise<void> {
		for (const name of ["etc", "data", "log", "home"]) await mkdir(join(this.#directory, name), { mode: 0o700 });
		const write = (path: string, text: string, mode = 0o600): Promise<void> =>
			writeFile(join(this.#directory, path), text, { mode });
		await write("home/.erlang.cookie", randomBytes(20).toString("hex"), 0o400);
		await write("etc/env.conf", "");
		await write("etc/enabled_plugins", "[rabbitmq_management].\n");
		await write(
			"etc/rabbitmq.conf",
			[
				`listeners.tcp.local = 127.0.0.1:${this.#ports.amqp}`,
				"management.tcp.ip = 127.0.0.1",
				`management.tcp.port = ${this.#ports.management}`,
				`default_user = ${this.user}`,
				`default_pass = ${this.password}`,
				"default_user_tags.administrator = true",
				"vm_memory_high_watermark.absolute = 1GB",
				"disk_free_limit.absolute = 50MB",
				"collect_statistics_interval = 1000",
				"tcp_listen_options.nodelay = true",
				"log.console = false",
				"log.file = rabbit.log",
				"",
			].join("\n"),
		);
		// Left to itself, Erlang starts a port mapper that outlives it.
		this.#epmd = spawn("epmd", ["-port", String(this.#ports.epmd), "-address", "127.0.0.1"], { stdio: "ignore" });
	}

	async start(): Promise<void> {
		await rm(this.#pidFile, { force: true });
		const launcher = spawn(join(scripts, "rabbitmq-server"), [], {
			env: this.#environment(),
			stdio: "ignore",
			detached: true,
		});
		this.#launcher = launcher;
		const deadline = Date.now() + startTimeoutMs;
		// The listener opens last, but the management interface can be later still with its first answer.
		while (!(await this.#answers())) {
			if (launcher.exitCode !== null || Date.now() > deadline) {
				const log = await readFile(join(this.#directory, "log", "rabbit.log"), "utf8").catch(() => "no log");
				throw new Error(`RabbitMQ did not start: ${log.slice(-2000)}`);
			}
			await delay(pollMs);
		}
	}

	async kill(): Promise<void> {
		await this.#signal("SIGKILL");
	}

	async restart(): Promise<void> {
		await this.#signal("SIGTERM");
		await this.start();
	}

	async stop(): Promise<void> {
		await this.#signal("SIGKILL");
		const epmd = this.#epmd;
		this.#epmd = undefined;
		if (epmd && epmd.exitCode === null && epmd.signalCode === null) {
			epmd.kill("SIGKILL");
			await once(epmd, "exit");
		}
		await rm(this.#directory, { recursive: true, force: true });
	}

	get #pidFile(): string {
		return join(this.#directory, "rabbit.pid");
	}

	/** The launcher is the Erlang machine's parent; it ends with it. */
	async #signal(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
		const launcher = this.#launcher;
		this.#launcher = undefined;
		if (!launcher?.pid || launcher.exitCode !== null || launcher.signalCode !== null) return;
		const gone = once(launcher, "exit");
		const pid = Number((await readFile(this.#pidFile, "utf8").catch(() => "")).trim());
		if (signal === "SIGTERM" && pid > 0) {
			process.kill(pid, signal);
			const ended = await Promise.race([gone.then(() => true), delay(stopTimeoutMs, false, { ref: false })]);
			if (ended) return;
		}
		// Its own process group: launcher, machine and port programs.
		process.kill(-launcher.pid, "SIGKILL");
		await gone;
	}

	async #answers(): Promise<boolean> {
		try {
			const answer = await fetch(
				`http://127.0.0.1:${this.#ports.management}/api/health/checks/port-listener/${this.#ports.amqp}`,
				{
					headers: { authorization: `Basic ${Buffer.from(`${this.user}:${this.password}`).toString("base64")}` },
					signal: AbortSignal.timeout(2_000),
				},
			);
			await answer.arrayBuffer();
			return answer.ok;
		} catch {
			return false;
		}
	}

	#environment(): NodeJS.ProcessEnv {
		const at = (path: string): string => join(this.#directory, path);
		return {
			PATH: process.env.PATH,
			HOME: at("home"),
			LANG: "C.UTF-8",
			LC_ALL: "C.UTF-8",
			RABBITMQ_NODENAME: `errand${this.#ports.amqp}@localhost`,
			RABBITMQ_USE_LONGNAME: "false",
			RABBITMQ_CONF_ENV_FILE: at("etc/env.conf"),
			RABBITMQ_CONFIG_FILE: at("etc/rabbitmq.conf"),
			RABBITMQ_ADVANCED_CONFIG_FILE: at("etc/advanced.config"),
			RABBITMQ_ENABLED_PLUGINS_FILE: at("etc/enabled_plugins"),
			RABBITMQ_MNESIA_BASE: at("data"),
			RABBITMQ_LOG_BASE: at("log"),
			RABBITMQ_PID_FILE: this.#pidFile,
			RABBITMQ_GENERATED_CONFIG_DIR: at("data/config"),
			RABBITMQ_SCHEMA_DIR: at("data/schema"),
			RABBITMQ_DIST_PORT: String(this.#ports.distribution),
			ERL_EPMD_PORT: String(this.#ports.epmd),
			ERL_EPMD_ADDRESS: "127.0.0.1",
			ERL_CRASH_DUMP: at("log/erl_crash.dump"),
			// Few threads that do not spin while idle, and a distribution port that only this machine sees.
			RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
				"+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}",
		};
	}
}

async function freePorts(count: number): Promise<number[]> {
	const servers = await Promise.all(
		Array.from({ length: count }, async () => {
			const server = createServer().listen(0, "127.0.0.1");
			await once(server, "listening");
			return server;
		}),
	);
	const ports = servers.map((server) => (server.address() as { port: number }).port);
	for (const server of servers) {
		server.close();
		await once(server, "close");
	}
	return ports;
}
