import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client, requestDeviceLogin } from "@errand/sdk";
import { removePostgresHome } from "../../cloud/src/store/postgres-home.ts";
import { randomPort } from "./ports.ts";
import { LoggedProcess } from "./process.ts";

const cloudMain = fileURLToPath(new URL("../../cloud/src/main.ts", import.meta.url));

/** A cloud as a process of its own, on random ports, with its state in a directory that goes away with it. */
export class TestCloud {
	readonly home: string;
	/** How its people reach it. */
	readonly url: string;
	/** How its operator does, past whatever stands before it. */
	readonly ownUrl: string;
	readonly #environment: NodeJS.ProcessEnv;
	#process: LoggedProcess | undefined;

	private constructor(home: string, port: number, environment: NodeJS.ProcessEnv) {
		this.home = home;
		this.ownUrl = `http://127.0.0.1:${port}`;
		this.url = environment.ERRAND_CLOUD_PUBLIC_URL ?? this.ownUrl;
		this.#environment = environment;
	}

	/** `environment`: DATABASE_URL, AMQP_URL, RABBITMQ_MANAGEMENT_URL, ERRAND_CLOUD_…; embedded parts without. */
	static async start(environment: NodeJS.ProcessEnv = {}): Promise<TestCloud> {
		const home = mkdtempSync(join(tmpdir(), "errand-"));
		const port = Number(environment.ERRAND_CLOUD_PORT ?? (await randomPort()));
		const cloud = new TestCloud(home, port, {
			PATH: process.env.PATH,
			ERRAND_HOME: home,
			ERRAND_CLOUD_PORT: String(port),
			ERRAND_CLOUD_PUBLIC_URL: `http://127.0.0.1:${port}`,
			ERRAND_CLOUD_AMQP_PORT: String(await randomPort()),
			...environment,
		});
		await cloud.start();
		return cloud;
	}

	get process(): LoggedProcess {
		if (this.#process === undefined) throw new Error("the cloud has not been started");
		return this.#process;
	}

	/** Again after a kill or stop, with the same state. */
	async start(): Promise<void> {
		this.#process = new LoggedProcess("cloud", process.execPath, [cloudMain], this.#environment);
		await this.#process.line("the cloud is ready");
	}

	get port(): number {
		return Number(new URL(this.ownUrl).port);
	}

	kill(): Promise<void> {
		return this.process.kill();
	}

	get operatorToken(): string {
		return readFileSync(join(this.home, "cloud", "operator-token"), "utf8").trim();
	}

	/** An account whose password is its name and `-password`. */
	async createAccount(username: string, { admin = false }: { admin?: boolean } = {}): Promise<void> {
		const operator = new Client({ cloudUrl: this.ownUrl, token: this.operatorToken });
		await operator.createAccount({ username, password: `${username}-password`, admin });
	}

	/** A new account and its access token, got by the device flow that the operator approves. */
	async login(
		username: string,
		options: { admin?: boolean } = {},
	): Promise<{ token: string; refreshToken: string | undefined; client: Client }> {
		await this.createAccount(username, options);
		const tokens = await requestDeviceLogin({
			cloudUrl: this.url,
			onPrompt: ({ userCode }) => this.approveDevice(userCode, username),
		});
		return {
			token: tokens.accessToken,
			refreshToken: tokens.refreshToken,
			client: new Client({ cloudUrl: this.url, token: tokens.accessToken }),
		};
	}

	/** Approves a device login, as whoever owns the state directory may. */
	async approveDevice(userCode: string, username: string): Promise<void> {
		const reply = await fetch(`${this.ownUrl}/v1/device-approvals`, {
			method: "POST",
			headers: { authorization: `Bearer ${this.operatorToken}`, "content-type": "application/json" },
			body: JSON.stringify({ user_code: userCode, username }),
		});
		if (!reply.ok) throw new Error(`the device was not approved: ${await reply.text()}`);
	}

	async stop(): Promise<void> {
		const code = await this.process.stop();
		if (code !== 0) throw new Error(`the cloud ended with ${code}:\n${this.process.output.slice(-3000)}`);
		await removePostgresHome(join(this.home, "cloud", "postgres"));
		rmSync(this.home, { recursive: true, force: true });
	}
}
