/** Two clouds: tokens of one are accepted by the other, which was told to. */
import { Client, CloudError, Executor } from "@errand/sdk";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TestCloud } from "../harness/cloud.ts";
import { TestEndpoint } from "../harness/endpoint.ts";

let issuer: TestCloud;
let cloud: TestCloud;

beforeAll(async () => {
	issuer = await TestCloud.start();
	cloud = await TestCloud.start({
		ERRAND_CLOUD_OUTSIDE_ISSUER: issuer.url,
		ERRAND_CLOUD_OUTSIDE_AUDIENCE: "funcx_service",
	});
});
afterAll(async () => {
	await cloud?.stop();
	await issuer?.stop();
});

test("a person of another issuer gets an account on first sight, an endpoint, and results", async () => {
	const { token } = await issuer.login("grace");
	const client = new Client({ cloudUrl: cloud.url, token });
	const me = await client.whoami();
	const host = new URL(issuer.url).host;
	expect(me).toMatchObject({ admin: false });
	expect(me.username).toMatch(new RegExp(`@${host.replace(".", "\\.")}$`));
	expect((await client.whoami()).id).toBe(me.id);
	const endpoint = await TestEndpoint.start(cloud, client, { name: "of-grace" });
	try {
		await using executor = new Executor({ endpoint: "of-grace", client });
		expect(await executor.submit((a: number, b: number) => a + b, 2, 3)).toBe(5);
		const lines: string[] = [];
		for await (const line of executor.submit(() => console.log("streamed")).stdout()) lines.push(line);
		expect(lines).toEqual(["streamed"]);
	} finally {
		await endpoint.stop();
	}
});

test("people of the issuer and of the cloud itself do not see one another's endpoints", async () => {
	const { token } = await issuer.login("ada");
	const outside = new Client({ cloudUrl: cloud.url, token });
	const { client: inside } = await cloud.login("ada");
	const { endpoint_id } = await inside.registerEndpoint({ endpoint_name: "private", metadata: { errand_protocol: 1 } });
	await expect(outside.getEndpoint(endpoint_id)).rejects.toBeInstanceOf(CloudError);
	expect((await outside.whoami()).id).not.toBe((await inside.whoami()).id);
});

test("the trust goes one way", async () => {
	const { token } = await cloud.login("one-way");
	await expect(new Client({ cloudUrl: issuer.url, token }).whoami()).rejects.toMatchObject({ httpStatus: 401 });
});
