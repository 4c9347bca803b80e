/** NEW-24: where secrets may not be: in logs, in files that others can read, in what a task sees. */
import { randomBytes } from "node:crypto";
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { Client, Executor, python, shell } from "@errand/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CommandLine } from "../harness/command-line.ts";
import { type Deployment, deploymentNames, startDeployment } from "../harness/deployment.ts";
import { treeOf } from "../harness/pids.ts";

/** Everything below a directory; links are not followed. */
function walk(directory: string): { path: string; mode: number; directory: boolean }[] {
	return readdirSync(directory).flatMap((name) => {
		const path = join(directory, name);
		const stat = lstatSync(path, { throwIfNoEntry: false });
		if (stat === undefined || stat.isSymbolicLink() || stat.isSocket()) return [];
		const self = { path, mode: stat.mode & 0o777, directory: stat.isDirectory() };
		return stat.isDirectory() ? [self, ...walk(path)] : [self];
	});
}

const environmentOf = (pid: number): Map<string, string> => {
	const text = readFileSync(`/proc/${pid}/environ`, "utf8");
	return new Map(text.split("\0").map((pair) => [pair.split("=", 1)[0] ?? "", pair.slice(pair.indexOf("=") + 1)]));
};

const passwordIn = (url: string): string => decodeURIComponent(new URL(url).password);

describe.each(deploymentNames)("NEW-24: secrets on the %s deployment", (name) => {
	let deployment: Deployment;
	let commands: CommandLine;
	let executor: Executor;
	const argument = `argument-${randomBytes(9).toString("hex")}`;
	/** Of the machine's owner, in the environment in which the endpoint is started. */
	const ownToken = `token-${randomBytes(9).toString("hex")}`;
	/** By what they are. */
	const secrets = new Map<string, string>();
	let endpointPids: number[];
	let mask: number;

	beforeAll(async () => {
		// What people usually have: files that others may read, unless a program says otherwise.
		mask = process.umask(0o022);
		deployment = await startDeployment(name, { ERRAND_CLOUD_LOG_LEVEL: "debug" });
		const { cloud } = deployment;
		commands = await CommandLine.open(cloud, "ada");
		Object.assign(commands.environment, {
			DATABASE_URL: `postgres://x:${ownToken}@h/d`,
			ERRAND_CLOUD_S3_KEY: ownToken,
		});
		await commands.startEndpoint("local", "log_level: debug\n");
		const home = cloud.home;
		const logins = JSON.parse(readFileSync(join(home, "credentials.json"), "utf8")) as {
			clouds: Record<string, { access_token: string; refresh_token: string }>;
		};
		const login = logins.clouds[cloud.url];
		const client = new Client({ cloudUrl: cloud.url, token: login?.access_token ?? "" });
		executor = new Executor({ endpoint: "local", client });

		secrets.set("the operator's token", cloud.operatorToken);
		secrets.set("Ada's access token", login?.access_token ?? "");
		secrets.set("Ada's refresh token", login?.refresh_token ?? "");
		const key = JSON.parse(readFileSync(join(home, "endpoints", "local", "credentials.json"), "utf8")) as {
			client_secret: string;
		};
		secrets.set("the endpoint's client secret", key.client_secret);
		const reply = await fetch(`${cloud.url}/v2/get_amqp_result_connection_url`, {
			headers: { authorization: `Bearer ${login?.access_token}` },
		});
		secrets.set(
			"the reader's password",
			passwordIn(((await reply.json()) as { connection_url: string }).connection_url),
		);
		const other = await client.registerEndpoint({ endpoint_name: "other", metadata: { errand_protocol: 1 } });
		secrets.set("an endpoint's broker password", passwordIn(other.task_queue_info.connection_url));
		const made = await client.createClient("nightly");
		secrets.set("a service client's secret", made.client_secret);
		if (deployment.broker) secrets.set("RabbitMQ's password", deployment.broker.password);
		const daemon = JSON.parse(readFileSync(join(home, "endpoints", "local", "process.json"), "utf8")) as {
			pid: number;
		};

		// One of each language, one that fails, one by reference, one whose output is read.
		expect(await executor.submit((text: string) => text.length, argument)).toBe(argument.length);
		expect(await executor.submit(python({ source: "def f(t):\n    return len(t)\n", name: "f" }), argument)).toBe(
			argument.length,
		);
		expect((await executor.submit(shell("echo {text} >&2; true"), { text: argument })).returncode).toBe(0);
		await executor
			.submit((text: string) => {
				throw new Error(text);
			}, argument)
			.catch(() => undefined);
		await executor.submit((text: string) => text, argument.repeat(20_000));
		await commands.expect("task", "list");
		const leaf = join(home, "endpoints", "local", "link-identity.pem");
		secrets.set("the link's key", readFileSync(leaf, "utf8").split("\n")[1] ?? "");
		secrets.set("the link's secret", readFileSync(join(home, "endpoints", "local", "link-secret")).toString("latin1"));

		endpointPids = treeOf(daemon.pid);
		const tokens = endpointPids.map((pid) => environmentOf(pid).get("ERRAND_BLOCK_TOKEN")).filter((one) => one);
		expect(tokens.length).toBeGreaterThan(0);
		secrets.set("a block's token", tokens[0] ?? "");
		for (const [what, secret] of secrets) expect(secret.length, what).toBeGreaterThan(15);
	}, 180_000);
	afterAll(async () => {
		process.umask(mask);
		await executor?.close();
		await commands?.close();
		await deployment?.stop();
	});

	test("no log at its most talkative has a secret, an argument or a result in it", () => {
		const { cloud } = deployment;
		const logs = new Map([["the cloud", cloud.process.output]]);
		for (const { path, directory } of walk(join(cloud.home, "endpoints")))
			if (!directory && path.endsWith(".log")) logs.set(relative(cloud.home, path), readFileSync(path, "latin1"));
		expect([...logs.keys()].join()).toMatch(/block-.*endpoint\.log/);
		const found: string[] = [];
		for (const [where, text] of logs) {
			expect(text.length, where).toBeGreaterThan(0);
			for (const [what, secret] of [...secrets, ["Ada's password", "ada-password"], ["an argument", argument]])
				if (text.includes(secret as string)) found.push(`${where}: ${what}`);
		}
		expect(found).toEqual([]);
	});

	test("nobody else can read a file or enter a directory of $ERRAND_HOME", () => {
		const open = walk(deployment.cloud.home)
			.filter(({ mode }) => (mode & 0o077) !== 0)
			.map(({ path, mode }) => `${relative(deployment.cloud.home, path)} ${mode.toString(8)}`);
		expect(open).toEqual([]);
	});

	test("a task finds no secret of the daemon, the cloud or the person in its environment", async () => {
		const environments = {
			javascript: JSON.stringify(await executor.submit(() => ({ ...process.env }))),
			python: String(
				await executor.submit(
					python({ source: "def f():\n    import os\n    return repr(dict(os.environ))\n", name: "f" }),
				),
			),
			command: (await executor.submit(shell("env"))).stdout,
		};
		for (const [language, text] of Object.entries(environments)) {
			for (const [what, secret] of secrets) expect(text.includes(secret), `${language}: ${what}`).toBe(false);
			expect(text, language).not.toContain(ownToken);
			expect(text, language).not.toMatch(/ERRAND_BLOCK_TOKEN|ERRAND_LINK_CERTIFICATE|client_secret/);
		}
	});

	test("no command line, which everybody on a machine can see, has a secret in it", () => {
		for (const pid of [...endpointPids, ...treeOf(deployment.cloud.process.pid)]) {
			let line = "";
			try {
				line = readFileSync(`/proc/${pid}/cmdline`, "latin1");
			} catch {
				continue; // ended meanwhile
			}
			for (const [what, secret] of secrets) expect(line.includes(secret), `${what} in ${line}`).toBe(false);
		}
	});
});
