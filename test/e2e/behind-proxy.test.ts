/** A cloud as a site runs it: TLS at a proxy, TLS at the broker, both with certificates of the site's own authority. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { Agent, get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TestCloud } from "../harness/cloud.ts";
import { CommandLine } from "../harness/command-line.ts";
import { randomPort } from "../harness/ports.ts";
import { makeSiteCertificate, type SiteCertificate, TlsProxy } from "../harness/tls.ts";

const proxyAddress = "127.0.0.2";
const program = fileURLToPath(new URL("./stream-over-tls.ts", import.meta.url));

let directory: string;
let site: SiteCertificate;
let proxy: TlsProxy;
let cloud: TestCloud;
let commands: CommandLine;

beforeAll(async () => {
	directory = mkdtempSync(join(tmpdir(), "errand-proxy-"));
	site = makeSiteCertificate(directory);
	proxy = await TlsProxy.open(site, proxyAddress);
	const amqpPort = await randomPort();
	cloud = await TestCloud.start({
		ERRAND_CLOUD_PUBLIC_URL: proxy.url,
		ERRAND_CLOUD_TRUSTED_PROXIES: proxyAddress,
		ERRAND_CLOUD_AMQP_PORT: String(amqpPort),
		ERRAND_CLOUD_AMQP_TLS_CERTIFICATE: site.certificate,
		ERRAND_CLOUD_AMQP_TLS_KEY: site.key,
		ERRAND_CLOUD_AMQP_PUBLIC_URL: `amqps://localhost:${amqpPort}`,
	});
	proxy.forwardTo(cloud.port);
	commands = await CommandLine.open(cloud, "ada", {
		url: proxy.url,
		environment: { NODE_EXTRA_CA_CERTS: site.authority },
	});
	await commands.startEndpoint("local");
});
afterAll(async () => {
	await commands?.close();
	await cloud?.stop();
	await proxy?.close();
	rmSync(directory, { recursive: true, force: true });
});

/** One request through the proxy, or past it; resolves to its request id. */
function ask(
	url: string,
	headers: Record<string, string>,
): Promise<{ status: number; headers: NodeJS.Dict<string | string[]> }> {
	return new Promise((resolve, reject) => {
		const agent = new Agent({ ca: readFileSync(site.authority) });
		get(url, { headers, agent }, (reply) => {
			reply.resume();
			resolve({ status: reply.statusCode ?? 0, headers: reply.headers });
		}).on("error", reject);
	});
}

test("the daemon reached the broker by amqps, and a command's output streams back through the proxy", async () => {
	const credentials = readFileSync(join(cloud.home, "endpoints", "local", "credentials.json"), "utf8");
	expect(credentials).toContain(proxy.url);
	expect(cloud.process.output).toContain('"tls":true');
	expect(await commands.expect("run", "-e", "local", "--", "echo", "over tls")).toBe("over tls\n");
});

test("a program's futures settle through it: values, output, large values, and errors", async () => {
	const said = await new Promise<string>((resolve, reject) => {
		execFile(process.execPath, [program], { env: commands.environment }, (error, stdout, stderr) =>
			error ? reject(new Error(`${error.message}\n${stderr}`)) : resolve(stdout),
		);
	});
	expect(JSON.parse(said)).toEqual({
		sum: 5,
		lines: ["one", "two"],
		large: 2_000_000,
		failure: "RangeError",
		squares: [1, 4, 9],
	});
});

test("a machine that does not know the site's authority is told so, and gives no secret away", async () => {
	const stranger = commands.with({ NODE_EXTRA_CA_CERTS: undefined });
	const { code, stderr } = await stranger.run("whoami");
	expect(code).not.toBe(0);
	expect(stderr).toMatch(/certificate.*NODE_EXTRA_CA_CERTS/s);
});

test("links, issuer and security headers speak of the public address", async () => {
	const { headers } = await ask(`${proxy.url}/healthz`, {});
	expect(headers["strict-transport-security"]).toBeDefined();
	const past = await fetch(`${cloud.ownUrl}/.well-known/openid-configuration`);
	const document = (await past.json()) as Record<string, string>;
	expect(document.issuer).toBe(proxy.url);
	expect(document.token_endpoint).toMatch(new RegExp(`^${proxy.url}/`));
	expect(document.device_authorization_endpoint).toMatch(new RegExp(`^${proxy.url}/`));
});

test("X-Forwarded-For is believed from the proxy alone, and only what the proxy itself wrote", async () => {
	const addressOf = async (requestId: string): Promise<unknown> => {
		const line = await cloud.process.line(requestId);
		return (JSON.parse(line) as { address: unknown }).address;
	};
	const forged = { "x-forwarded-for": "203.0.113.7" };
	await ask(`${proxy.url}/v1/cloud`, { ...forged, "x-request-id": "through-the-proxy" });
	expect(await addressOf("through-the-proxy")).toBe("127.0.0.1");
	await (await fetch(`${cloud.ownUrl}/v1/cloud`, { headers: { ...forged, "x-request-id": "past-the-proxy" } })).text();
	expect(await addressOf("past-the-proxy")).toBe("127.0.0.1");
});

test("what only this machine may read is not read through the proxy", async () => {
	expect((await fetch(`${cloud.ownUrl}/metrics`)).status).toBe(200);
	expect((await ask(`${proxy.url}/metrics`, {})).status).toBeGreaterThanOrEqual(401);
});
