import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type PythonEnvironment, pythonEnvironment } from "../../../test/harness/python.ts";
import { startRabbitmq, type TestRabbitmq } from "../../../test/harness/rabbitmq.ts";
import { type EmbeddedBroker, openEmbeddedBroker } from "./embedded/embedded.ts";
import type { Log } from "./logging.ts";

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };
const script = fileURLToPath(new URL("./pika-walk.py", import.meta.url));

describe("pika, the client of the public interface", () => {
	let environment: PythonEnvironment;
	let directory: string;
	let embedded: EmbeddedBroker;
	let rabbitmq: TestRabbitmq;

	beforeAll(async () => {
		directory = await mkdtemp(join(tmpdir(), "errand-pika-"));
		[environment, rabbitmq, embedded] = await Promise.all([
			pythonEnvironment(["pika==1.3.2"]),
			startRabbitmq(),
			openEmbeddedBroker({ directory, host: "127.0.0.1", port: 0, log: silent }),
		]);
	});
	afterAll(async () => {
		await embedded?.close();
		await rabbitmq?.stop();
		await environment?.remove();
		await rm(directory, { recursive: true, force: true });
	});

	const walk = async (url: string): Promise<string[]> => {
		const { stdout } = await promisify(execFile)(environment.python, [script, url]);
		return stdout.trim().split("\n");
	};

	it("sees the embedded listener do exactly what RabbitMQ does", async () => {
		const real = await walk(rabbitmq.amqpUrl);
		expect(await walk(embedded.serviceUrl)).toEqual(real);
		expect(real.at(-1)).toMatch(/^virtual host: /);
		expect(real.filter((line) => line.endsWith("allowed"))).toEqual([]);
	});
});
