import { join } from "node:path";
import { deviceLogin, Executor } from "@errand/sdk";
import { afterEach, expect, test, vi } from "vitest";
import { closeAfterEach } from "../harness/closing.ts";
import { TestCloud } from "../harness/cloud.ts";
import { TestEndpoint } from "../harness/endpoint.ts";

const tokenLifeS = 5;
/** Several lives of a token. */
const longWaitMs = tokenLifeS * 3.5 * 1000;

const closeLater = closeAfterEach();
afterEach(() => vi.unstubAllEnvs());

test("NEW-7: tokens expire again and again in the middle of a long wait, at the client and at the endpoint", {
	timeout: 180_000,
}, async () => {
	const cloud = await TestCloud.start({ ERRAND_CLOUD_ACCESS_TOKEN_S: String(tokenLifeS) });
	closeLater(() => cloud.stop());
	await cloud.createAccount("ada");
	// The login that a person makes: kept in a file, refreshed by the SDK.
	vi.stubEnv("ERRAND_HOME", join(cloud.home, "person"));
	vi.stubEnv("ERRAND_CLOUD_URL", cloud.url);
	vi.stubEnv("ERRAND_TOKEN", "");
	await deviceLogin({ cloudUrl: cloud.url, onPrompt: ({ userCode }) => cloud.approveDevice(userCode, "ada") });
	const executor = new Executor({ endpoint: "local" });
	const endpoint = await TestEndpoint.start(cloud, executor.client, { config: "workers_per_node: 2\n" });
	closeLater(() => endpoint.stop());
	closeLater(() => executor.close());

	// The subject of this test is time itself.
	const wait = async (forMs: number, size: number): Promise<string> => {
		console.log("begun");
		await new Promise((resolve) => setTimeout(resolve, forMs));
		console.log("ending");
		return "x".repeat(size);
	};
	const small = executor.submit(wait, longWaitMs, 1);
	// A value by reference: the endpoint stores it with a token of its own, this client fetches it with its own.
	const large = executor.submit(wait, longWaitMs, 1_000_000);
	const lines: string[] = [];
	for await (const line of small.stdout()) lines.push(line);
	expect(lines).toEqual(["begun", "ending"]);
	expect(await small).toBe("x");
	expect((await large).length).toBe(1_000_000);

	// And both go on as before: new work, arguments by reference, a group made with an old login.
	expect(await executor.submit((text: string) => text.length, "y".repeat(1_000_000))).toBe(1_000_000);
	await using again = await Executor.reload({ taskGroup: executor.taskGroup });
	expect(await Promise.all(again)).toHaveLength(3);
});
