/** People of one cloud share an endpoint: what a guest may run, how much, and what is written down about it. */
import { Client, CloudError, Executor } from "@errand/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TestCloud } from "../harness/cloud.ts";
import { CommandLine } from "../harness/command-line.ts";
import { TestEndpoint } from "../harness/endpoint.ts";

let cloud: TestCloud;
let ada: Client;
let bob: Client;
let endpoint: TestEndpoint;
let endpointId: string;

beforeAll(async () => {
	cloud = await TestCloud.start();
	({ client: ada } = await cloud.login("ada"));
	({ client: bob } = await cloud.login("bob"));
	const config = `workers_per_node: 2\npublic: true\nadmins: [${(await bob.whoami()).id}]\n`;
	endpoint = await TestEndpoint.start(cloud, ada, { config });
	endpointId = await ada.resolveEndpoint("local");
});
afterAll(async () => {
	await endpoint?.stop();
	await cloud?.stop();
});

const anything = { functions: null };

async function refusalOf(work: Promise<unknown>): Promise<string> {
	const error = await work.then(
		() => undefined,
		(cause: unknown) => cause,
	);
	if (error instanceof CloudError) return error.code;
	throw new Error(`was not refused by the cloud: ${String(error)}`);
}

describe("NEW-21: an endpoint shared with a group", () => {
	test("runs what its members submit, gives them their results, and stops at each one's limit of the day", async () => {
		await ada.sharing.createGroup("astro");
		await ada.sharing.shareEndpoint(endpointId, { group: "astro", tasks_per_day: 3, ...anything });
		const submission = { tasks: { [endpointId]: ["6\n11\n[1]"] } };
		expect(await refusalOf(bob.submit(endpointId, submission))).toBe("ENDPOINT_ACCESS_FORBIDDEN");
		await ada.sharing.setMember("astro", "bob");
		await using executor = new Executor({ endpoint: "local", client: bob });
		const doubled = await Promise.all([1, 2, 3].map((n) => executor.submit((x: number) => 2 * x, n)));
		expect(doubled).toEqual([2, 4, 6]);
		await expect(executor.submit((x: number) => 2 * x, 4)).rejects.toThrow(/limit of 3 tasks a day/);
		expect((await bob.listTasks({ limit: 10 })).items).toHaveLength(3);
		expect((await ada.listTasks({ limit: 10 })).items).toHaveLength(0);
	});

	test("runs a function that was lent, without the guest being able to read it", async () => {
		const { client: cyd } = await cloud.login("cyd");
		const fn = await ada.registerFunction({
			function_name: "double",
			function_code: "35\nst\ndouble:def double(x): return 2*x",
		});
		await ada.sharing.shareEndpoint(endpointId, { account: "cyd", functions: [fn] });
		const { tasks } = await cyd.submit(endpointId, { tasks: { [fn]: ["6\n11\n[4]5\n11\n{}"] } });
		expect(tasks[fn]).toHaveLength(1);
		expect(await refusalOf(cyd.getFunction(fn))).toBe("FUNCTION_ACCESS_FORBIDDEN");
		expect(await refusalOf(bob.submit(endpointId, { tasks: { [fn]: ["6\n11\n[4]5\n11\n{}"] } }))).toBe(
			"FUNCTION_ACCESS_FORBIDDEN",
		);
	});
});

test("NEW-22: an endpoint is looked after by the administrators of its settings, and seen by everybody when it is public", async () => {
	expect(await bob.sharing.listShares(endpointId)).toHaveLength(2);
	const { client: eve } = await cloud.login("eve");
	expect(await eve.getEndpoint(endpointId)).toMatchObject({
		name: "local",
		public: true,
		status: "online",
		host: null,
	});
	expect(await refusalOf(eve.sharing.listShares(endpointId))).toBe("ENDPOINT_ACCESS_FORBIDDEN");
	expect(await refusalOf(eve.deleteEndpoint(endpointId))).toBe("ENDPOINT_ACCESS_FORBIDDEN");
});

test("NEW-22: several administrators of a cloud; the audit log says who did what, and is exported a JSON object a line", async () => {
	expect(await refusalOf(bob.readAudit())).toBe("FORBIDDEN");
	const dee = await CommandLine.open(cloud, "dee");
	await dee.expect("group", "create", "chemistry");
	// The command line's home holds the operator's token.
	const operator = dee.with({ ERRAND_CLOUD_PORT: String(cloud.port) });
	await operator.expect("cloud", "user", "admin", "bob");
	const lines = (await operator.expect("cloud", "audit", "--json")).trim().split("\n");
	const entries = lines.map((line) => JSON.parse(line) as { actor: string; acting_as: string; action: string });
	const said = entries.map(({ actor, acting_as, action }) => `${actor} as ${acting_as}: ${action}`).reverse();
	expect(said).toEqual(
		expect.arrayContaining([
			"operator as operator: account.create",
			"ada as account: endpoint.register",
			"ada as account: group.create",
			"ada as account: endpoint.share",
			"ada as account: group.member",
			"dee as account: group.create",
		]),
	);
	expect(said.at(-1)).toMatch(/ as operator: account\.admin$/);
	const root = new Client({ cloudUrl: cloud.url, token: cloud.operatorToken });
	expect((await root.listAccounts()).items.find((row) => row.username === "bob")).toMatchObject({ admin: true });
	await dee.close();
});
