/** A daemon whose endpoint is deleted or locked in the cloud: it ends, and nothing of it stays behind. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Client, Executor } from "@errand/sdk";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type Deployment, deploymentNames, startDeployment } from "../harness/deployment.ts";
import { TestEndpoint } from "../harness/endpoint.ts";

const forbidden = 77;

describe.each(deploymentNames)("the end of an endpoint, %s deployment", (name) => {
	let deployment: Deployment;
	let client: Client;
	let token: string;
	const endpoints: TestEndpoint[] = [];

	beforeAll(async () => {
		deployment = await startDeployment(name);
		({ client, token } = await deployment.cloud.login("ada"));
	});
	afterAll(async () => {
		for (const endpoint of endpoints) if (!endpoint.process.ended) await endpoint.stop();
		await deployment?.stop();
	});

	/** An endpoint with a manager, which would stay for an hour. */
	async function working(called: string): Promise<TestEndpoint> {
		const config = "workers_per_node: 1\norphan_limit: 1h\nidle_timeout: 1h\n";
		const endpoint = await TestEndpoint.start(deployment.cloud, client, { name: called, config });
		endpoints.push(endpoint);
		const executor = new Executor({ endpoint: called, client });
		expect(await executor.submit(() => "ran")).toBe("ran");
		await executor.close();
		expect(endpoint.managerPids()).toHaveLength(1);
		return endpoint;
	}
	const nothingLeft = (endpoint: TestEndpoint) =>
		vi.waitFor(() => expect(endpoint.processesLeft()).toEqual([]), { timeout: 10_000, interval: 100 });
	const api = (method: string, path: string, body?: object) =>
		fetch(deployment.cloud.url + path, {
			method,
			headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
			...(body && { body: JSON.stringify(body) }),
		});

	test("deleted: the daemon ends its managers, and says why; its key is good for nothing", {
		timeout: 60_000,
	}, async () => {
		const endpoint = await working("deleted");
		const key = JSON.parse(readFileSync(join(endpoint.directory, "credentials.json"), "utf8"));
		await client.deleteEndpoint(endpoint.id);
		expect(await endpoint.process.exit()).toBe(forbidden);
		expect(endpoint.process.output).toMatch(/errand-endpoint: .*(deleted|could not be resolved)/);
		await nothingLeft(endpoint);

		const keyToken = async () => {
			const basic = Buffer.from(`${key.client_id}:${key.client_secret}`).toString("base64");
			const scope = "https://auth.globus.org/scopes/facd7ccc-c5f4-42aa-916b-a0e270e2c2a9/all";
			const reply = await fetch(key.token_endpoint, {
				method: "POST",
				headers: { authorization: `Basic ${basic}` },
				body: new URLSearchParams({ grant_type: "client_credentials", scope }),
			});
			return { status: reply.status, ...((await reply.json()) as { access_token?: string }) };
		};
		const { access_token } = await keyToken();
		const headers = { authorization: `Bearer ${access_token}`, "content-type": "application/octet-stream" };
		for (const [method, path] of [
			["PUT", `/v1/blobs/${"0".repeat(64)}`],
			["GET", `/v1/tasks`],
			["PUT", `/v1/endpoints/${endpoint.id}/lease`],
		] as const) {
			const reply = await fetch(deployment.cloud.url + path, {
				method,
				headers,
				...(method === "PUT" && { body: "x" }),
			});
			expect([path, reply.status, ((await reply.json()) as { code: string }).code]).toEqual([
				path,
				404,
				"ENDPOINT_NOT_FOUND",
			]);
		}
		// Whoever makes the endpoint anew makes a new key, too.
		const again = { endpoint_name: "deleted", metadata: { errand_protocol: 1 } };
		expect((await api("PUT", `/v3/endpoints/${endpoint.id}`, again)).status).toBe(200);
		expect((await keyToken()).status).toBe(401);
	});

	test("locked: the daemon stops as if it were asked to", { timeout: 60_000 }, async () => {
		const endpoint = await working("locked");
		expect((await api("POST", `/v2/endpoints/${endpoint.id}/lock`)).status).toBe(200);
		expect(await endpoint.process.exit()).toBe(0);
		expect(endpoint.process.output).toContain("the endpoint was locked; it stops");
		await nothingLeft(endpoint);
		expect((await client.getEndpoint(endpoint.id)).status).toBe("offline");
	});
});
