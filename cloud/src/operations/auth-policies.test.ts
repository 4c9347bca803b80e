import { type AuthPolicyId, type EndpointId, Fault, type FunctionId, newId, toProblem } from "@errand/proto";
import type { AuthPolicy } from "@errand/proto/rest";
import { authPolicyCreation } from "@errand/proto/rest";
import { beforeEach, describe, expect, test } from "vitest";
import type { Caller } from "../policy/caller.ts";
import type { Login } from "../policy/login.ts";
import {
	account,
	cloudEachTest,
	endpointKeyOf,
	packedArguments,
	settle,
	success,
	type TestCloud,
} from "./test-cloud.ts";

let cloud: TestCloud;
cloudEachTest((opened) => {
	cloud = opened;
});

const login = (over: Partial<Login> = {}): Login => ({
	domains: ["uni.edu"],
	service: false,
	atMs: Date.now(),
	...over,
});

/** A caller with a row of its own, who has just logged in at uni.edu. */
async function person(name: string, over: Partial<Caller> = {}): Promise<Caller> {
	const caller = account({ username: `${name}-${newId().slice(0, 8)}`, login: login(), ...over });
	await cloud.database.query("insert into accounts (id, kind, username, admin) values ($1, 'person', $2, $3)", [
		caller.accountId,
		caller.username,
		caller.admin,
	]);
	return caller;
}

async function faultOf(work: Promise<unknown>): Promise<Fault> {
	try {
		await work;
	} catch (cause) {
		if (cause instanceof Fault) return cause;
		throw cause;
	}
	throw new Error("was not refused");
}

const make = (caller: Caller, rules: Record<string, unknown>): Promise<AuthPolicy> =>
	cloud.operations.createAuthPolicy(caller, authPolicyCreation.parse({ name: "staff", ...rules }));
const idOf = (policy: AuthPolicy) => policy.id as AuthPolicyId;
const registerWith = (caller: Caller, id: EndpointId, policy: string | null) =>
	cloud.operations.registerEndpoint(caller, id, {
		endpoint_name: "lab",
		...(policy !== null && { authentication_policy: policy }),
		metadata: { errand_protocol: 1 },
	});
const submit = (caller: Caller, endpoint: EndpointId, fn: FunctionId, key?: string) =>
	cloud.operations.submit(caller, endpoint, { tasks: { [fn]: [packedArguments(1)] } }, key);
const auditOf = async (action: string, thing: string) => {
	const { items } = await cloud.operations.readAudit(account({ admin: true }), { limit: 100, action, thing });
	return items.reverse();
};

let owner: Caller;
let stranger: Caller;
let endpoint: EndpointId;
let fn: FunctionId;
beforeEach(async () => {
	[owner, stranger] = [await person("ann"), await person("cyd")];
	({ endpoint, fn } = await settle(cloud, owner));
});

describe("NEW-23: an endpoint under an authentication policy", () => {
	const hourAgo = (): Caller => ({ ...owner, login: login({ atMs: Date.now() - 3_600_000 }) });

	test("refuses a login that is too old, tells what it wants in the public interface's words, and takes a new one; a retry is a submit", async () => {
		const policy = await make(owner, { authentication_assurance_timeout: 900 });
		await registerWith(owner, endpoint, policy.id.toUpperCase());
		const { tasks } = await submit(owner, endpoint, fn);
		const fault = await faultOf(submit(hourAgo(), endpoint, fn));
		const sentence =
			'Endpoint lab wants a login of the last 15 min (authentication policy "staff"), and yours was 60 min ago: log in again.';
		expect(toProblem(fault)).toMatchObject({
			code: "AUTHENTICATION_POLICY_NOT_MET",
			http_status_code: 403,
			detail: sentence,
			authorization_parameters: {
				session_message: sentence,
				session_required_policies: [policy.id],
				prompt: "login",
			},
		});
		expect(fault.authorization).not.toHaveProperty("session_required_single_domain");
		const task = tasks[fn]?.[0] as never;
		await cloud.bus.taken(await cloud.bus.results(endpoint, [success(task, "11\n2")]));
		expect((await faultOf(cloud.operations.retryTask(hourAgo(), task))).code).toBe("AUTHENTICATION_POLICY_NOT_MET");
		await cloud.operations.retryTask(owner, task);
	});

	test("refuses domains that are not included, and names those that are; its own owner and administrators are no exception", async () => {
		const policy = await make(owner, { domain_constraints_include: ["*.GOV", "lab.org"] });
		await registerWith(owner, endpoint, policy.id);
		for (const caller of [owner, await person("root", { admin: true })])
			expect((await faultOf(submit(caller, endpoint, fn))).authorization).toMatchObject({
				session_required_single_domain: ["*.gov", "lab.org"],
				session_required_policies: [policy.id],
			});
		await submit({ ...owner, login: login({ domains: ["mail.com", "lab.org"] }) }, endpoint, fn);
	});

	test("counts as it is changed, and no more when the endpoint is registered without it", async () => {
		const policy = await make(owner, { domain_constraints_exclude: ["uni.edu"] });
		await registerWith(owner, endpoint, policy.id);
		expect((await faultOf(submit(owner, endpoint, fn))).message).toContain("takes no tasks from logins of uni.edu");
		await cloud.operations.changeAuthPolicy(owner, idOf(policy), { domain_constraints_exclude: ["guests.uni.edu"] });
		await submit(owner, endpoint, fn);
		await cloud.operations.changeAuthPolicy(owner, idOf(policy), { domain_constraints_include: ["lab.org"] });
		expect((await faultOf(submit(owner, endpoint, fn))).code).toBe("AUTHENTICATION_POLICY_NOT_MET");
		await registerWith(owner, endpoint, null);
		await submit(owner, endpoint, fn);
	});

	test("counts for guests and on an endpoint that maps identities; a credential that is no login is refused", async () => {
		const policy = await make(owner, { domain_constraints_include: ["uni.edu"] });
		await registerWith(owner, endpoint, policy.id);
		const own = await cloud.operations.registerFunction(stranger, {
			function_name: "one",
			function_code: "20\nej\ndefault:() => 1;",
		});
		await cloud.operations.shareEndpoint(owner, endpoint, {
			account: stranger.username,
			functions: null,
			tasks_per_day: null,
			container_image: null,
		});
		await submit(stranger, endpoint, own);
		const elsewhere = { ...stranger, login: login({ domains: ["mail.com"] }) };
		expect((await faultOf(submit(elsewhere, endpoint, own))).code).toBe("AUTHENTICATION_POLICY_NOT_MET");
		const { login: _none, ...without } = owner;
		expect((await faultOf(submit(without, endpoint, fn))).message).toContain("is no login");
		await cloud.operations.registerEndpoint(owner, endpoint, {
			endpoint_name: "lab",
			multi_user: true,
			authentication_policy: policy.id,
			metadata: { errand_protocol: 1 },
		});
		expect((await faultOf(submit(elsewhere, endpoint, own))).code).toBe("AUTHENTICATION_POLICY_NOT_MET");
	});

	test("a refusal is in the audit log, once a minute however often a program asks", async () => {
		const policy = await make(owner, { authentication_assurance_timeout: 900 });
		await registerWith(owner, endpoint, policy.id);
		for (let times = 0; times < 5; times++) await faultOf(submit(hourAgo(), endpoint, fn));
		expect(await auditOf("policy.refuse", endpoint)).toMatchObject([
			{ actor_id: owner.accountId, thing: endpoint, details: { policy: policy.id, lacks: "recent-login" } },
		]);
	});
});

describe("registering with a policy", () => {
	test("takes one that is there and one's own; the endpoint's key may name it for its owner", async () => {
		const policy = await make(owner, { authentication_assurance_timeout: 900 });
		const unknown = await faultOf(registerWith(owner, endpoint, newId()));
		const foreign = await faultOf(
			registerWith(owner, endpoint, (await make(stranger, { authentication_assurance_timeout: 1 })).id),
		);
		for (const fault of [unknown, foreign]) {
			expect(fault).toMatchObject({ code: "SEMANTICALLY_INVALID", httpStatus: 422 });
			expect(fault.message).toContain("errand policy list");
		}
		await registerWith(endpointKeyOf(owner, endpoint), endpoint, policy.id);
		expect((await cloud.operations.getAuthPolicy(owner, idOf(policy))).endpoints).toBe(1);
	});

	test("an administrator of the endpoint starts it again with the policy that it has, and puts no other in its place", async () => {
		const helper = await person("bob");
		const policy = await make(owner, { authentication_assurance_timeout: 900 });
		const registration = {
			endpoint_name: "lab",
			admins: [helper.accountId],
			authentication_policy: policy.id,
			metadata: { errand_protocol: 1 as const },
		};
		await cloud.operations.registerEndpoint(owner, endpoint, registration);
		await cloud.operations.registerEndpoint(helper, endpoint, registration);
		const other = {
			...registration,
			authentication_policy: (await make(owner, { authentication_assurance_timeout: 1 })).id,
		};
		expect((await faultOf(cloud.operations.registerEndpoint(helper, endpoint, other))).code).toBe(
			"SEMANTICALLY_INVALID",
		);
	});

	test("a policy in use is not deleted, and says whose it is; when the endpoint is gone it is", async () => {
		const policy = await make(owner, { authentication_assurance_timeout: 900 });
		await registerWith(owner, endpoint, policy.id);
		const fault = await faultOf(cloud.operations.deleteAuthPolicy(owner, idOf(policy)));
		expect(fault).toMatchObject({ code: "RESOURCE_CONFLICT", message: expect.stringContaining("(lab)") });
		await cloud.operations.deleteEndpoint(owner, endpoint);
		await cloud.operations.deleteAuthPolicy(owner, idOf(policy));
		expect((await faultOf(cloud.operations.getAuthPolicy(owner, idOf(policy)))).code).toBe("POLICY_NOT_FOUND");
		expect((await auditOf("policy", policy.id)).map(({ action }) => action)).toEqual([
			"policy.create",
			"policy.delete",
		]);
	});

	test("of a deletion and a registration at the same moment one is refused", async () => {
		for (let round = 0; round < 5; round++) {
			const policy = await make(owner, { authentication_assurance_timeout: 900 });
			const outcomes = await Promise.allSettled([
				registerWith(owner, endpoint, policy.id),
				cloud.operations.deleteAuthPolicy(owner, idOf(policy)),
			]);
			const refused = outcomes.flatMap((one) => (one.status === "rejected" ? [(one.reason as Fault).code] : []));
			expect(refused).toHaveLength(1);
			expect(["SEMANTICALLY_INVALID", "RESOURCE_CONFLICT"]).toContain(refused[0]);
			await registerWith(owner, endpoint, null);
		}
	});
});

describe("a policy and its project", () => {
	test("a policy asks for something", async () => {
		expect((await faultOf(make(owner, {}))).code).toBe("SEMANTICALLY_INVALID");
		const policy = await make(owner, { domain_constraints_include: ["uni.edu"] });
		const nothing = { domain_constraints_include: null };
		expect((await faultOf(cloud.operations.changeAuthPolicy(owner, idOf(policy), nothing))).message).toContain(
			"ask for nothing",
		);
		expect(await cloud.operations.getAuthPolicy(owner, idOf(policy))).toEqual(policy);
	});

	test("is nobody else's to see, change or delete; an administrator of the cloud sees and deletes it, and cannot loosen it", async () => {
		const { operations } = cloud;
		const id = idOf(await make(owner, { domain_constraints_include: ["uni.edu"] }));
		const admin = await person("root", { admin: true });
		for (const caller of [stranger, endpointKeyOf(owner, endpoint)]) {
			expect((await faultOf(operations.getAuthPolicy(caller, id))).code).toBe("POLICY_NOT_FOUND");
			expect((await faultOf(operations.changeAuthPolicy(caller, id, { name: "x" }))).code).toBe("POLICY_NOT_FOUND");
			expect((await faultOf(operations.deleteAuthPolicy(caller, id))).code).toBe("POLICY_NOT_FOUND");
		}
		expect(await operations.getAuthPolicy(admin, id)).toMatchObject({ name: "staff" });
		expect((await faultOf(operations.changeAuthPolicy(admin, id, { name: "x" }))).code).toBe("FORBIDDEN");
		expect((await operations.listAuthPolicies(stranger, { limit: 10 })).items).toEqual([]);
		await operations.deleteAuthPolicy(admin, id);
	});

	test("of a project is also for its administrators and the members of its groups", async () => {
		const { operations } = cloud;
		const [admin, member] = [await person("bob"), await person("dee")];
		const group = await operations.createAccountGroup(member, { name: `g${newId().slice(0, 8)}`, description: "" });
		const wanted = (groups: string[]) => ({
			project: { display_name: "lab", contact_email: "", admin_ids: [admin.accountId], admin_group_ids: groups },
		});
		expect((await faultOf(operations.createAuthProject(owner, wanted([group.id])))).code).toBe("AUTH_GROUP_NOT_FOUND");
		await operations.setGroupMember(member, group.id, owner.accountId, { admin: false });
		const project = await operations.createAuthProject(owner, wanted([group.id]));
		expect(project.admins).toEqual({ identities: [owner.accountId, admin.accountId], groups: [group.id] });
		const policy = await make(admin, { project_id: project.id, domain_constraints_include: ["uni.edu"] });
		for (const caller of [owner, admin, member]) {
			expect(await operations.listAuthProjects(caller)).toMatchObject([{ id: project.id }]);
			expect(await operations.listAuthPolicies(caller, { limit: 10 })).toMatchObject({ items: [{ id: policy.id }] });
			await operations.changeAuthPolicy(caller, idOf(policy), { description: caller.username });
		}
		await registerWith(endpointKeyOf(owner, endpoint), endpoint, policy.id);
		expect(await operations.listAuthProjects(stranger)).toEqual([]);
		expect((await faultOf(make(stranger, { project_id: project.id, domain_constraints_include: ["a.b"] }))).code).toBe(
			"PROJECT_NOT_FOUND",
		);
		expect((await faultOf(operations.changeAuthPolicy(stranger, idOf(policy), { name: "x" }))).code).toBe(
			"POLICY_NOT_FOUND",
		);
	});

	test("the list comes page after page", async () => {
		const made = [];
		for (let n = 0; n < 5; n++)
			made.push((await make(owner, { name: `p${n}`, authentication_assurance_timeout: 60 })).id);
		const seen: string[] = [];
		for (let cursor: string | null | undefined; cursor !== null; ) {
			const page = await cloud.operations.listAuthPolicies(owner, {
				limit: 2,
				...(cursor !== undefined && { cursor }),
			});
			seen.push(...page.items.map(({ id }) => id));
			cursor = page.next_cursor;
		}
		expect(seen.sort()).toEqual(made.sort());
	});
});

test.each(["*", "uni.edu/", "a b", "*uni.edu", "uni.*", "", "-a.edu", `${"a".repeat(64)}.edu`])(
	"a domain written %j is refused",
	(domain) => {
		expect(authPolicyCreation.safeParse({ name: "p", domain_constraints_include: [domain] }).success).toBe(false);
	},
);
