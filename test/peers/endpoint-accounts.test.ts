/** Globus Compute's endpoint as root: two people of our cloud, two real accounts of this machine. */
import { join } from "node:path";
import { type Client, Executor, python, shell } from "@errand/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TestCloud } from "../harness/cloud.ts";
import { GlobusEndpoint, globusEndpointPackage } from "../harness/globus-endpoint.ts";
import { makeOrdinaryUser, type OrdinaryUser } from "../harness/ordinary-user.ts";
import { type PythonEnvironment, pythonEnvironment } from "../harness/python.ts";

interface Standing {
	readonly ids: readonly number[];
	readonly groups: readonly number[];
	readonly home: string;
	readonly umask: number;
	readonly secrets: readonly string[];
	readonly privileges: Readonly<Record<string, string>>;
}

/** As whom a task runs, and with what left of root's. */
const standing = python<[], Standing>({
	name: "standing",
	source: `
def standing():
    import os
    umask = os.umask(0o077)
    os.umask(umask)
    status = dict(line.rstrip("\\n").split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
    return {
        "ids": [*os.getresuid(), *os.getresgid()],
        "groups": os.getgroups(),
        "home": os.environ["HOME"],
        "umask": umask,
        "secrets": [name for name in os.environ if "SECRET" in name or "CLIENT_ID" in name],
        "privileges": {name: status[name] for name in ("CapEff", "CapPrm", "NoNewPrivs")},
    }
`,
});

const people = ["ada", "bob"] as const;
type Person = (typeof people)[number];

describe("GC-9: NEW-29: an unmodified globus-compute-endpoint as root, with an identity map", {
	timeout: 90_000,
}, () => {
	let cloud: TestCloud;
	let environment: PythonEnvironment;
	let endpoint: GlobusEndpoint;
	const accounts = new Map<Person, OrdinaryUser>();
	const executors = new Map<Person, Executor>();
	const account = (person: Person): OrdinaryUser => accounts.get(person) as OrdinaryUser;
	const executor = (person: Person): Executor => executors.get(person) as Executor;

	const rule = (match: string, output: string): object => ({ source: "{username}", match, output });
	const mapOf = (...mappings: readonly object[]): readonly object[] => [
		{ DATA_TYPE: "expression_identity_mapping#1.0.0", mappings },
	];
	const known = (): object[] => people.map((person) => rule(person, account(person).name));

	beforeAll(async () => {
		environment = await pythonEnvironment([globusEndpointPackage], { everybody: true });
		cloud = await TestCloud.start();
		const { token } = await cloud.login("operator");
		for (const person of people) accounts.set(person, makeOrdinaryUser(person));
		endpoint = await GlobusEndpoint.configure(cloud, token, environment.python, {
			identityMap: mapOf(...known(), rule("eve", "root"), rule("mallory", "errand-of-nobody")),
		});
		await endpoint.start();
		for (const person of people)
			executors.set(person, new Executor({ endpoint: endpoint.id, client: (await cloud.login(person)).client }));
	}, 400_000);
	afterAll(async () => {
		for (const open of executors.values()) await open.close();
		await endpoint?.remove();
		for (const user of accounts.values()) user.remove();
		await cloud?.stop();
		await environment?.remove();
	}, 60_000);

	async function refusalOf(client: Client): Promise<unknown> {
		const fn = await client.registerFunction({ function_name: "standing", function_code: await standing.code() });
		return await client
			.submit(endpoint.id, { tasks: { [fn]: [standing.packArguments([])] } })
			.catch((error: unknown) => error);
	}

	test("each person's tasks run as their account, in their groups and home, with nothing left of root's", async () => {
		const seen = await Promise.all(people.map((person) => executor(person).submit(standing)));
		for (const [at, person] of people.entries()) {
			const { account: ids, home } = account(person);
			const { uid, gid } = ids as { uid: number; gid: number };
			expect(seen[at], person).toEqual({
				ids: [uid, uid, uid, gid, gid, gid],
				groups: [gid],
				home,
				umask: 0o077,
				secrets: [],
				privileges: { CapEff: "0000000000000000", CapPrm: "0000000000000000", NoNewPrivs: "1" },
			});
		}
		expect(endpoint.userEndpoints().size).toBe(2);
	});

	test("nobody reads what another's tasks have written, nor what root keeps for the endpoint", async () => {
		expect(await executor("ada").submit(shell("echo mine > ~/mine; cat ~/mine"))).toMatchObject({ stdout: "mine\n" });
		const mine = join(account("ada").home, "mine");
		const asked = await executor("bob").submit(shell("cat {mine} {root}"), {
			mine,
			root: join(endpoint.directory, "config.yaml"),
		});
		expect(asked).toMatchObject({ returncode: 1, stdout: "" });
		expect(asked.stderr.match(/Permission denied/g)).toHaveLength(2);
	});

	test("whom the map does not know, maps to root, or to no account, is told so and nothing runs", async () => {
		const [stranger, eve, mallory] = await Promise.all(
			["stranger", "eve", "mallory"].map(async (name) => refusalOf((await cloud.login(name)).client)),
		);
		expect(stranger).toMatchObject({
			httpStatus: 422,
			message: expect.stringContaining("failed to map to a local user"),
		});
		expect(eve).toMatchObject({ httpStatus: 422, message: expect.stringContaining("InvalidUserError") });
		expect(mallory).toMatchObject({ httpStatus: 422, message: expect.stringContaining("local user does not exist") });
		expect([...endpoint.userEndpoints().values()]).toHaveLength(2);
	});

	test("a changed map is in effect without a restart", async () => {
		const { client } = await cloud.login("carol");
		expect(await refusalOf(client)).toMatchObject({ httpStatus: 422 });
		endpoint.write(
			"identity_mapping_config.json",
			JSON.stringify(mapOf(...known(), rule("carol", account("bob").name))),
		);
		await expect
			.poll(() => refusalOf(client), { timeout: 30_000, interval: 1_000 })
			.toMatchObject({ endpoint_id: endpoint.id });
		const carol = new Executor({ endpoint: endpoint.id, client });
		const { ids } = await carol.submit(standing);
		expect(ids[0]).toBe((account("bob").account as { uid: number }).uid);
		await carol.close();
	});
});
