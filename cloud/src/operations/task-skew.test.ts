import { type EndpointId, type FunctionId, joinBuffer, newId, pack, type TaskId } from "@errand/proto";
import { beforeEach, expect, test } from "vitest";
import type { Caller } from "../policy/caller.ts";
import { account, cloudEachTest, settle, success, type TestCloud } from "./test-cloud.ts";

let cloud: TestCloud;
cloudEachTest((opened) => {
	cloud = opened;
});

const pickled = pack([joinBuffer("00" as never, "gASV"), joinBuffer("00" as never, "gASV")]);
const json = pack([joinBuffer("11", "[1]"), joinBuffer("11", "{}")]);
const runtime = (python: string) => ({
	python_version: `${python} (main, Jan 1 2026) [GCC]`,
	globus_compute_sdk_version: "4.19.0",
});

let caller: Caller;
let endpoint: EndpointId;
let source: FunctionId;
beforeEach(async () => {
	caller = account();
	({ endpoint } = await settle(cloud, caller));
	source = await register("st", "f:def f(x): return x");
});

const register = (id: string, code: string, meta: Record<string, string> = {}) =>
	cloud.operations.registerFunction(caller, {
		function_name: "f",
		function_code: pack([joinBuffer(id as never, code)]),
		meta,
	});
const submit = (tasks: Record<string, string[]>, user_runtime: Record<string, unknown> | null, to = endpoint) =>
	cloud.operations.submit(caller, to, { tasks, user_runtime }, undefined);
const workersAre = (...texts: string[]) => cloud.bus.heartbeat(endpoint, { active: true, worker_runtimes: texts });

test("GC-6, NEW-11: a mismatch is told in the reply to whoever submits, and stays with the task and its retry", async () => {
	const { operations } = cloud;
	expect(await submit({ [source]: [pickled] }, runtime("3.12.1"))).not.toHaveProperty("warnings");
	await workersAre("Python 3.11.7, dill 0.3.9, globus-compute-sdk 4.19.0");
	cloud.events.emit("endpoint:changed", { endpoint });
	const reply = await submit(
		{ [source]: [json], [await register("sd", "f:def f(): pass")]: [pickled] },
		runtime("3.12.1"),
	);
	const [safe, bound] = Object.values(reply.tasks).map(([id]) => id as TaskId);
	const [warning = ""] = reply.warnings ?? [];
	expect(warning).toMatch(
		/^Written by Python 3\.12\.1, globus-compute-sdk 4\.19\.0, and the workers .* have Python 3\.11\.7, dill 0\.3\.9/,
	);
	expect(reply).toMatchObject({ warnings: [warning], ha_warning: warning });
	expect(await operations.getTask(caller, bound as TaskId)).toMatchObject({ version_skew: warning });
	expect(await operations.explainTask(caller, bound as TaskId)).toMatchObject({ version_skew: warning });
	// A task of the same request that any Python reads.
	expect(await operations.getTask(caller, safe as TaskId)).toMatchObject({ version_skew: null });
	await cloud.bus.taken(await cloud.bus.results(endpoint, [success(bound as string, "11\n1")]));
	const retry = await operations.retryTask(caller, bound as TaskId);
	expect(await operations.getTask(caller, retry)).toMatchObject({ version_skew: warning });
});

test("NEW-11: source and JSON give no warning whatever the versions, nor do pickles between like versions", async () => {
	await workersAre("Python 3.11.7, dill 0.3.9");
	expect(await submit({ [source]: [json] }, runtime("3.13.0"))).not.toHaveProperty("warnings");
	expect(await submit({ [source]: [pickled] }, runtime("3.11.2"))).not.toHaveProperty("warnings");
	expect(await submit({ [source]: [pickled] }, null)).not.toHaveProperty("warnings");
});

test("GC-6: a pickled function counts as its author's, whoever submits it; what is no client of that interface gets no field of it", async () => {
	await workersAre("Python 3.11.7, dill 0.3.9");
	const foreign = await register("01", "gASV", { python_version: "3.9.18", sdk_version: "4.2.0" });
	const mine = await submit({ [foreign]: [json] }, runtime("3.11.7"));
	expect(mine.ha_warning).toMatch(/^Written by Python 3\.9\.18, globus-compute-sdk 4\.2\.0/);
	const plain = await submit({ [foreign]: [json] }, null);
	expect(plain.warnings).toHaveLength(1);
	expect(plain).not.toHaveProperty("ha_warning");
});

test("of an endpoint of the public interface the Python that it registered with counts", async () => {
	const { endpoint_id } = await cloud.operations.registerEndpoint(caller, undefined, {
		endpoint_name: `single-${newId().slice(0, 8)}`,
		metadata: { endpoint_version: "4.0.0", python_version: "3.10.13" },
	});
	const reply = await submit({ [source]: [pickled] }, runtime("3.12.1"), endpoint_id as EndpointId);
	expect(reply.warnings?.[0]).toContain("have Python 3.10.13:");
});
