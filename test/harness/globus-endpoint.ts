/** Globus Compute's own endpoint daemon, unmodified, at a cloud of the test. */
import { execFile } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import type { Client } from "@errand/sdk";
import type { TestCloud } from "./cloud.ts";
import { type GlobusSettings, globusSettings } from "./globus.ts";
import { makeOrdinaryUser, type OrdinaryUser } from "./ordinary-user.ts";
import { childrenOf, commandOf } from "./pids.ts";
import { LoggedProcess } from "./process.ts";

const run = promisify(execFile);

/** The newest release, as pip takes it. */
export const globusEndpointPackage = "globus-compute-endpoint==4.19.0";

/** Threads of the user endpoint itself: nothing of a scheduler is needed, and it starts at once. */
export const threadTemplate = `engine:
  type: ThreadPoolEngine
  max_workers: {{ workers|default(2) }}
heartbeat_period: 5
`;

const threadSchema = { type: "object", properties: { workers: { type: "integer" } } };

export interface GlobusEndpointOptions {
	readonly name?: string;
	readonly template?: string;
	/** Of what a submitter may say; whole numbers of `workers` without. */
	readonly schema?: object;
	/** More of `config.yaml`. */
	readonly config?: string;
	/** The list in its identity mapping file: then the daemon is root's, and each user endpoint an account's. */
	readonly identityMap?: readonly object[];
}

/** Whose the daemon is. Tests of another user's need to be root's. */
function ownerOf(identityMap: readonly object[] | undefined): OrdinaryUser {
	if (identityMap === undefined) return makeOrdinaryUser();
	if (process.getuid?.() !== 0) throw new Error("an endpoint that maps identities is root's: run these tests as root");
	const home = mkdtempSync(join(tmpdir(), "errand-root-"));
	const remove = (): void => rmSync(home, { recursive: true, force: true });
	return { name: "root", home, account: {}, processes: () => [], remove };
}

export class GlobusEndpoint {
	readonly name: string;
	readonly #settings: GlobusSettings;
	readonly #user: OrdinaryUser;
	readonly #environment: NodeJS.ProcessEnv;
	#process: LoggedProcess | undefined;

	private constructor(settings: GlobusSettings, name: string, user: OrdinaryUser, environment: NodeJS.ProcessEnv) {
		this.#settings = settings;
		this.name = name;
		this.#user = user;
		this.#environment = environment;
	}

	/**
	 * `globus-compute-endpoint configure`, as a user without rights unless it maps identities, with the credentials of a
	 * service account. `python` is the interpreter that has the package.
	 */
	static async configure(
		cloud: TestCloud,
		token: string,
		python: string,
		{
			name = "lab",
			template = threadTemplate,
			schema = threadSchema,
			config = "",
			identityMap,
		}: GlobusEndpointOptions = {},
	): Promise<GlobusEndpoint> {
		const settings = await globusSettings(cloud, token);
		const user = ownerOf(identityMap);
		const environment = {
			...settings.environment,
			PATH: `${dirname(python)}:${process.env.PATH}`,
			HOME: user.home,
			GLOBUS_COMPUTE_USER_DIR: join(user.home, ".globus_compute"),
		};
		const endpoint = new GlobusEndpoint(settings, name, user, environment);
		try {
			await endpoint.command("configure", name, ...(identityMap ? ["--contact-email", "root@example.org"] : []));
			endpoint.write("user_config_template.yaml.j2", template);
			endpoint.write("user_config_schema.json", JSON.stringify(schema));
			if (identityMap) endpoint.write("identity_mapping_config.json", JSON.stringify(identityMap));
			const mapped = identityMap
				? `identity_mapping_config_path: ${join(endpoint.directory, "identity_mapping_config.json")}\n`
				: "";
			const own = `heartbeat_period: 5\nlocal_compute_services: true\n${mapped}${config}`;
			const rest = endpoint.read("config.yaml").replace(/^(heartbeat_period|identity_mapping_config_path):.*\n/gm, "");
			endpoint.write("config.yaml", `${rest}\n${own}`);
		} catch (error) {
			await endpoint.remove();
			throw error;
		}
		return endpoint;
	}

	/** As whom the daemon is logged in: the endpoint's owner. */
	get client(): Client {
		return this.#settings.client;
	}

	/** With which a program of the field's SDK is the endpoint's owner. */
	get environment(): NodeJS.ProcessEnv {
		return this.#settings.environment;
	}

	/** A directory that its user endpoints can write. */
	get home(): string {
		return this.#user.home;
	}

	get directory(): string {
		return join(this.#user.home, ".globus_compute", this.name);
	}

	get id(): string {
		return (JSON.parse(this.read("endpoint.json")) as { endpoint_id: string }).endpoint_id;
	}

	get process(): LoggedProcess {
		if (this.#process === undefined) throw new Error("the endpoint has not been started");
		return this.#process;
	}

	read(file: string): string {
		return readFileSync(join(this.directory, file), "utf8");
	}

	write(file: string, text: string): void {
		const path = join(this.directory, file);
		mkdirSync(dirname(path), { recursive: true });
		writeFileSync(path, text);
		chmodSync(path, 0o600);
		const { uid, gid } = this.#user.account;
		if (uid !== undefined) chownSync(path, uid, gid);
	}

	/** Runs `globus-compute-endpoint WORDS` to its end. */
	async command(...words: string[]): Promise<{ stdout: string; stderr: string }> {
		return await run("globus-compute-endpoint", words, {
			env: this.#environment,
			cwd: this.#user.home,
			...this.#user.account,
		});
	}

	/** `start`, or `restart`, which ends the one that runs; resolves when the new one has registered and is online. */
	async start(verb: "start" | "restart" = "start"): Promise<void> {
		const log = join(this.directory, "endpoint.log");
		const registrations = (): number =>
			existsSync(log) ? readFileSync(log, "utf8").split("Core Endpoint begins").length : 1;
		const before = registrations();
		this.#process = new LoggedProcess(
			"globus-compute-endpoint",
			// When it stops it ends its whole process group, which must not be the tests'.
			"setsid",
			["globus-compute-endpoint", verb, this.name],
			this.#environment,
			this.#user.home,
			accountOf(this.#user),
		);
		while (registrations() === before) {
			if (this.process.ended) throw new Error(this.logs());
			await new Promise((resolve) => setTimeout(resolve, 100));
		}
		await this.untilStatus("online");
	}

	/** Asks the cloud; rejects when the daemon ends meanwhile. */
	async untilStatus(wanted: "online" | "offline"): Promise<void> {
		for (;;) {
			if (existsSync(join(this.directory, "endpoint.json"))) {
				const { status } = await this.client.getEndpoint(this.id);
				if (status === wanted) return;
			}
			if (wanted === "online" && this.process.ended) throw new Error(this.logs());
			await new Promise((resolve) => setTimeout(resolve, 200));
		}
	}

	/** Everything that the daemon and its user endpoints have said, for a failing test's message. */
	logs(): string {
		const log = join(this.directory, "endpoint.log");
		return `${this.#process?.output ?? ""}\n${existsSync(log) ? readFileSync(log, "utf8") : ""}`.slice(-6000);
	}

	/** Its living user endpoints: their directories' names, by process id. */
	userEndpoints(): Map<number, string> {
		const found = childrenOf(this.process.pid).map((pid) => [pid, /uep\.[\w.-]+/.exec(commandOf(pid))?.[0]] as const);
		return new Map(found.filter((pair): pair is [number, string] => pair[1] !== undefined));
	}

	/** Ends the daemon as its user does, with everything it started. */
	async stop(): Promise<void> {
		if (this.#process !== undefined && !this.#process.ended) await this.#process.stop();
	}

	/** SIGKILL to the daemon alone, and what its user does then: the file that says where it runs is stale. */
	async kill(): Promise<void> {
		await this.process.kill();
		rmSync(join(this.directory, "daemon.pid"), { force: true });
	}

	/** What `stop --remote` and the SDK's `stop_endpoint` ask of the cloud. */
	async lock(): Promise<void> {
		const reply = await fetch(`${this.client.cloudUrl}/v3/endpoints/${this.id}/lock`, {
			method: "POST",
			headers: { authorization: `Bearer ${await this.client.accessToken()}` },
		});
		if (!reply.ok) throw new Error(`the endpoint was not locked: ${await reply.text()}`);
	}

	async remove(): Promise<void> {
		await this.stop();
		this.#user.remove();
		await this.#settings.close();
	}
}

/** Undefined where the tests are not root's: then everything is whoever runs them. */
function accountOf({ account }: OrdinaryUser): { uid: number; gid: number } | undefined {
	const { uid, gid } = account;
	return uid === undefined || gid === undefined ? undefined : { uid, gid };
}
