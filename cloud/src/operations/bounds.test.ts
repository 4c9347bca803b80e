/** NEW-24: one account's requests and one endpoint's words cost the service no more than they should. */
import { inlineLimitBytes, type TaskId } from "@errand/proto";
import { expect, test } from "vitest";
import { cloudEachTest, packedArguments, settle, success, type TestCloud } from "./test-cloud.ts";

let cloud: TestCloud;
cloudEachTest((opened) => {
	cloud = opened;
});

test("a reply about many tasks has results of 64 MiB at most, and asking again for the rest brings all", async () => {
	const home = await settle(cloud);
	const count = 300;
	const text = `11\n"${"x".repeat(inlineLimitBytes - 10)}"`;
	const reply = await cloud.operations.submit(
		home.caller,
		home.endpoint,
		{ tasks: { [home.fn]: Array.from({ length: count }, (_, n) => packedArguments(n)) } },
		undefined,
	);
	let open = reply.tasks[home.fn] as TaskId[];
	const ended = new Promise<void>((resolve) => {
		let seen = 0;
		cloud.events.on("results:recorded", ({ results }) => {
			seen += results.length;
			if (seen === count) resolve();
		});
	});
	for (let at = 0; at < count; at += 100)
		await cloud.bus.results(
			home.endpoint,
			open.slice(at, at + 100).map((id) => success(id, text)),
		);
	await ended;
	const rounds: number[] = [];
	while (open.length > 0 && rounds.length < 10) {
		const documents = await cloud.operations.getPublicTasks(home.caller, open);
		expect(Object.keys(documents)).toHaveLength(open.length);
		const got = open.filter((id) => documents[id]?.status === "success");
		for (const id of got) expect(documents[id]?.result).toBe(text);
		expect(open.filter((id) => documents[id]?.status === "running")).toHaveLength(open.length - got.length);
		rounds.push(got.length);
		open = open.filter((id) => !got.includes(id));
	}
	expect(rounds).toHaveLength(2);
	expect((rounds[0] ?? 0) * inlineLimitBytes).toBeLessThan(65 * 1024 * 1024);
});

test("what is kept with each task of a submit is small", async () => {
	const home = await settle(cloud);
	const tasks = { [home.fn]: [packedArguments(1)] };
	for (const settings of [
		{ resource_specification: { note: "x".repeat(20_000) } },
		{ result_serializers: Array.from({ length: 2_000 }, () => "some.module.Serializer") },
	])
		await expect(
			cloud.operations.submit(home.caller, home.endpoint, { tasks, ...settings }, undefined),
		).rejects.toMatchObject({ code: "SEMANTICALLY_INVALID" });
});

test("a heartbeat with more to say than any endpoint has is dropped, and the next one counts", async () => {
	const home = await settle(cloud);
	const rejected = new Promise<string>((resolve) => {
		cloud.events.once("message:rejected", ({ reason }) => resolve(reason));
	});
	await cloud.bus.heartbeat(home.endpoint, { heartbeat_period: 30, active: true, note: "x".repeat(300_000) });
	expect(await rejected).toContain("262144 bytes");
	expect((await cloud.operations.getEndpoint(home.caller, home.endpoint)).status).toBe("offline");
	await cloud.bus.heartbeat(home.endpoint, { heartbeat_period: 30, active: true });
	expect((await cloud.operations.getEndpoint(home.caller, home.endpoint)).status).toBe("online");
});
