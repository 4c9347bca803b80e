import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startRabbitmq } from "../../../test/harness/rabbitmq.ts";
import { type BrokerUnderTest, brokerContract } from "./broker.contract.ts";
import { openEmbeddedBroker } from "./embedded/embedded.ts";
import type { Log } from "./logging.ts";
import { openRabbitmq } from "./rabbitmq.ts";

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };

brokerContract("the embedded listener", async () => {
	const directory = await mkdtemp(join(tmpdir(), "errand-broker-"));
	const options = { directory, host: "127.0.0.1", log: silent };
	let broker = await openEmbeddedBroker({ ...options, port: 0 });
	return {
		get broker() {
			return broker;
		},
		// A real kill -9 of a process of its own is in embedded/embedded.test.ts: here it shares the process with its test.
		crash: async () => {
			const { port } = broker;
			await broker.close();
			broker = await openEmbeddedBroker({ ...options, port });
		},
		stop: async () => {
			await broker.close();
			await rm(directory, { recursive: true });
		},
	};
});

brokerContract("RabbitMQ", async (): Promise<BrokerUnderTest> => {
	const rabbitmq = await startRabbitmq();
	const broker = openRabbitmq(rabbitmq);
	return {
		broker,
		crash: async () => {
			await rabbitmq.kill();
			await rabbitmq.restart();
		},
		stop: async () => {
			await broker.close();
			await rabbitmq.stop();
		},
	};
});
