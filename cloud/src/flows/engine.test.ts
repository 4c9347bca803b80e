import { authPolicyCreation } from "@errand/proto/rest";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTestDatabase, type TestDatabase } from "../operations/test-cloud.ts";
import { TestFlows } from "./test-flows.ts";

let database: TestDatabase;
let flows: TestFlows;
beforeAll(async () => {
	database = await openTestDatabase();
	flows = await TestFlows.open(database);
});
afterAll(async () => {
	await flows?.close();
	await database?.close();
});

describe("a run", () => {
	test("goes through compute steps, each with what the one before came to", async () => {
		flows.play = (x) => Number(x) * 2;
		const run = await flows.start(
			{
				StartAt: "First",
				States: {
					First: flows.action({ ResultPath: "$.First", Next: "Second" }, { "args.=": "[x]" }),
					Second: flows.action({ ResultPath: "$.Second", Next: "Done" }, { "args.=": "[First.details.result[0] + 1]" }),
					Done: { Type: "Pass", Parameters: { "answer.$": "$.Second.details.result[0]" }, End: true },
				},
			},
			{ x: 4 },
		);
		expect(await flows.outputOf(run)).toEqual({ answer: 18 });
		expect(await flows.codes(run)).toEqual([
			"FlowStarted",
			"ActionStarted",
			"ActionCompleted",
			"ActionStarted",
			"ActionCompleted",
			"PassStarted",
			"PassCompleted",
			"FlowSucceeded",
		]);
	});

	test("GC-8: a Map calls for each item, so many at a time, and keeps their order", async () => {
		let under = 0;
		let most = 0;
		flows.play = (x) => {
			most = Math.max(most, ++under);
			under--;
			return Number(x) * 10;
		};
		const run = await flows.start(each({ MaxConcurrency: 3 }), { items: Array.from({ length: 20 }, (_, n) => n) });
		const { all } = (await flows.outputOf(run)) as { all: { details: { result: number[] } }[] };
		expect(all.map((one) => one.details.result[0])).toEqual(Array.from({ length: 20 }, (_, n) => n * 10));
		expect(most).toBeLessThanOrEqual(3);
	});

	test("branches of a Parallel run side by side and come back in their order", async () => {
		const branch = (value: number) => ({
			StartAt: `Pass${value}`,
			States: { [`Pass${value}`]: { Type: "Pass", Parameters: { value }, End: true } },
		});
		const run = await flows.start({
			StartAt: "Both",
			States: { Both: { Type: "Parallel", Branches: [branch(1), branch(2)], ResultPath: "$.both", End: true } },
		});
		expect(await flows.outputOf(run)).toEqual({ both: [{ value: 1 }, { value: 2 }] });
	});

	test("an empty Map is an empty list", async () => {
		const run = await flows.start(each({}), { items: [] });
		expect(await flows.outputOf(run)).toEqual({ items: [], all: [] });
	});

	test("a failed function is tried again as Retry says, each try with a request of its own", async () => {
		let tries = 0;
		flows.play = () => {
			if (++tries < 3) throw new Error("not yet");
			return "now";
		};
		const retry = [
			{ ErrorEquals: ["ActionFailedException"], IntervalSeconds: 1, JitterStrategy: "FULL", MaxAttempts: 5 },
		];
		const run = await flows.start(one(flows.action({ Retry: retry, ResultPath: "$.r", End: true })), { args: [] });
		expect(((await flows.outputOf(run)) as { r: { details: { result: string[] } } }).r.details.result).toEqual(["now"]);
		expect(tries).toBe(3);
		expect((await flows.codes(run)).filter((code) => code === "ActionRetrying")).toHaveLength(2);
	});

	test("what is not retried goes to the Catch that names it, with the exception's words", async () => {
		flows.play = () => {
			throw new Error("no such file");
		};
		const caught = [{ ErrorEquals: ["States.ALL"], ResultPath: "$.error", Next: "Clean" }];
		const run = await flows.start(
			{
				StartAt: "Only",
				States: {
					Only: flows.action({ Catch: caught, ResultPath: "$.r", End: true }),
					Clean: { Type: "Pass", Parameters: { "why.$": "$.error.Cause", "error.$": "$.error.Error" }, End: true },
				},
			},
			{ args: [] },
		);
		expect(await flows.outputOf(run)).toEqual({
			error: "ActionFailedException",
			why: "the action of state Only failed: Error: no such file",
		});
	});

	test("an item that fails fails the Map and ends the others, unless failures are tolerated", async () => {
		flows.play = (x) => {
			if (x === 1) throw new Error("bad item");
			return x ?? null;
		};
		const failed = await flows.until(await flows.start(each({}), { items: [0, 1, 2] }));
		expect(failed).toMatchObject({ status: "FAILED", details: { code: "FlowFailed" } });
		expect(failed.details.description).toContain("bad item");
		const run = await flows.start(each({ ToleratedFailureCount: 1 }), { items: [0, 1, 2] });
		expect((await flows.outputOf(run)) as object).toMatchObject({ all: [{ status: "SUCCEEDED" }, null, {}] });
	});

	test("an action that does not end in its WaitTime is cancelled at its endpoint and raises ActionTimeout", async () => {
		flows.play = () => undefined;
		const caught = [{ ErrorEquals: ["ActionTimeout"], ResultPath: "$.error", Next: "Late" }];
		const run = await flows.start(
			{
				StartAt: "Only",
				States: {
					Only: flows.action({ WaitTime: 1, Catch: caught, ResultPath: "$.r", End: true }),
					Late: { Type: "Pass", InputPath: "$.error.Error", End: true },
				},
			},
			{ args: [] },
		);
		expect(await flows.outputOf(run)).toBe("ActionTimeout");
		await expect
			.poll(async () => (await tasks()).every((task) => task.state === "cancelled" || task.cancel_requested))
			.toBe(true);
	});

	test("a cancelled run ends at once, and so does its task", async () => {
		flows.play = () => undefined;
		const run = await flows.start(one(flows.action({ End: true })), { args: [] });
		await expect.poll(async () => (await tasks())[0]?.state).toBe("received");
		await flows.cloud.operations.cancelRun(flows.caller, run as never);
		expect(await flows.until(run)).toMatchObject({ status: "FAILED", details: { code: "FlowCanceled" } });
		await expect.poll(async () => (await tasks())[0]?.state).toBe("cancelled");
	});

	test("a run that is out of time fails, and nobody can catch that", async () => {
		const run = await flows.start({
			TimeoutSeconds: 1,
			StartAt: "Sleep",
			States: { Sleep: { Type: "Wait", Seconds: 3600, End: true } },
		});
		expect(await flows.until(run)).toMatchObject({
			status: "FAILED",
			details: { details: { error: "States.Timeout" } },
		});
	});

	test("a loop counts, and one that never ends is ended", async () => {
		const loop = (rule: object) => ({
			StartAt: "Add",
			States: {
				Add: { Type: "ExpressionEval", Parameters: { "n.=": "n + 1" }, ResultPath: "$", Next: "More" },
				More: { Type: "Choice", Choices: [rule], Default: "Done" },
				Done: { Type: "Pass", End: true },
			},
		});
		const run = await flows.start(loop({ Variable: "$.n", NumericLessThan: 150, Next: "Add" }), { n: 0 });
		expect(await flows.outputOf(run)).toEqual({ n: 150 });
	});

	test("a private parameter reaches the provider, and no log or state of the run", async () => {
		let seen: unknown;
		flows.play = (x) => {
			seen = x;
			return "ok";
		};
		const run = await flows.start(
			one({
				Type: "Action",
				ActionUrl: "errand:compute",
				Parameters: {
					endpoint_id: flows.endpoint,
					tasks: [{ function_id: flows.fn, "args.=": "[_private_key]", __Private_Parameters: ["args"] }],
				},
				WaitTime: 60,
				ExceptionOnActionFailure: true,
				ResultPath: "$.r",
				End: true,
			}),
			{ _private_key: "hush-hush" },
		);
		const output = JSON.stringify(await flows.outputOf(run));
		expect(seen).toBe("hush-hush");
		const log = await flows.cloud.operations.runLog(flows.caller, run as never, { limit: 100, reverse: false });
		const visits = await flows.cloud.operations.runVisits(flows.caller, run as never);
		expect(JSON.stringify([log, visits, await flows.until(run)]) + output).not.toContain("hush");
	});

	test("NEW-24: an action that its owner may not start raises ActionUnableToRun", async () => {
		const other = await TestFlows.open(database);
		try {
			const definition = one(other.action({ ResultPath: "$.r", End: true }));
			const run = await flows.start(definition, { args: [] });
			const ended = await flows.until(run);
			expect(ended.details.description).toMatch(/ActionUnableToRun.*ENDPOINT_ACCESS_FORBIDDEN/);
		} finally {
			await other.close();
		}
	});
});

test("a run whose endpoint asks for another login is INACTIVE until its owner resumes it with one", async () => {
	flows.play = (x) => x ?? null;
	const { operations } = flows.cloud;
	const policy = await operations.createAuthPolicy(
		flows.caller,
		authPolicyCreation.parse({ name: "staff", domain_constraints_include: ["uni.edu"] }),
	);
	const registered = await operations.registerEndpoint(flows.caller, undefined, {
		endpoint_name: "strict",
		metadata: { errand_protocol: 1 },
		authentication_policy: policy.id,
	});
	const strict = { endpoint_id: registered.endpoint_id, tasks: [{ function_id: flows.fn, args: [1] }] };
	const run = await flows.start(one(flows.action({ Parameters: strict, ResultPath: "$.r", End: true })));
	const waiting = await flows.until(run, ({ status }) => status === "INACTIVE");
	expect(waiting.details).toMatchObject({
		code: "AUTHENTICATION_POLICY_NOT_MET",
		details: { authorization_parameters: { session_required_policies: [policy.id] } },
	});
	await operations.resumeRun(flows.caller, run as never);
	expect((await flows.until(run, () => true)).completion_time).toBeNull();
	const atWork = { ...flows.caller, login: { domains: ["uni.edu"], service: false, atMs: Date.now() } };
	await operations.resumeRun(atWork, run as never);
	await expect.poll(() => flows.cloud.bus.tasks(registered.endpoint_id as never).length, { timeout: 5_000 }).toBe(1);
	expect((await flows.until(run, ({ status }) => status === "ACTIVE")).details.code).toBe("FlowActive");
	await operations.cancelRun(flows.caller, run as never);
	await flows.until(run);
});

describe("PEG-1: a run that failed", () => {
	test("is repeated from there: what succeeded is kept, and only what failed runs again", async () => {
		let broken = true;
		const ran: unknown[] = [];
		flows.play = (x) => {
			ran.push(x);
			if (broken && x === 3) throw new Error("node down");
			return Number(x) + 100;
		};
		const definition = {
			StartAt: "Before",
			States: {
				Before: flows.action({ ResultPath: "$.before", Next: "All" }, { args: ["before"] }),
				All: { ...(each({ MaxConcurrency: 1 }).States.All as object), End: undefined, Next: "After" },
				After: { Type: "Pass", Parameters: { "all.=": "[one.details.result[0] for one in all]" }, End: true },
			},
		};
		const failed = await flows.start(JSON.parse(JSON.stringify(definition)) as object, { items: [0, 1, 2, 3, 4] });
		expect((await flows.until(failed)).status).toBe("FAILED");
		expect(ran).toEqual(["before", 0, 1, 2, 3]);
		broken = false;
		ran.length = 0;
		const again = await flows.cloud.operations.rerunRun(flows.caller, failed as never, undefined);
		expect(again.rerun_of).toBe(failed);
		expect(await flows.outputOf(again.run_id)).toEqual({ all: [100, 101, 102, 103, 104] });
		expect(ran).toEqual([3, 4]);
	});

	test("one that succeeded is not repeated", async () => {
		const run = await flows.start(one({ Type: "Pass", End: true }));
		await flows.outputOf(run);
		await expect(flows.cloud.operations.rerunRun(flows.caller, run as never, undefined)).rejects.toMatchObject({
			code: "RESOURCE_CONFLICT",
		});
	});
});

describe("a process that ends", () => {
	test("leaves its runs to the next: what they waited for happened meanwhile", async () => {
		flows.play = () => undefined;
		const waiting = await flows.start(one(flows.action({ ResultPath: "$.r", End: true })), { args: ["late"] });
		await expect.poll(() => flows.played.some(([x]) => x === "late")).toBe(true);
		await flows.stopEngine();
		const task = flows.cloud.bus.tasks(flows.endpoint).at(-1);
		await flows.cloud.bus.results(flows.endpoint, [
			{ taskId: task?.id ?? new Uint8Array(), outcome: { case: "value", value: Buffer.from('11\n"done"') } },
		]);
		const fresh = await flows.start(one({ Type: "Pass", Parameters: { a: 1 }, End: true }));
		await flows.startEngine();
		expect(await flows.outputOf(fresh)).toEqual({ a: 1 });
		expect(await flows.outputOf(waiting)).toMatchObject({ r: { details: { result: ["done"] } } });
	});
});

describe("several processes on one database", () => {
	test("share the runs, take up what another leaves, and do nothing twice", async () => {
		const other = await TestFlows.open(database);
		try {
			const sleepy = {
				StartAt: "Each",
				States: {
					Each: {
						Type: "Map",
						ItemsPath: "$.items",
						ItemProcessor: {
							StartAt: "Sleep",
							States: { Sleep: { Type: "Wait", Seconds: 1, Next: "Wake" }, Wake: { Type: "Pass", End: true } },
						},
						End: true,
					},
				},
			};
			const runs = await Promise.all(Array.from({ length: 10 }, () => flows.start(sleepy, { items: [1, 2, 3, 4, 5] })));
			// Half of the work is left to the other.
			await flows.stopEngine();
			for (const run of runs) expect(await flows.outputOf(run)).toEqual([1, 2, 3, 4, 5]);
			for (const run of runs) {
				const codes = await flows.codes(run);
				expect(codes.filter((code) => code === "PassCompleted")).toHaveLength(5);
				expect(codes.filter((code) => code === "FlowSucceeded")).toHaveLength(1);
			}
			await flows.startEngine();
			const shared = await Promise.all(Array.from({ length: 10 }, () => flows.start(sleepy, { items: [6, 7] })));
			for (const run of shared) {
				expect(await flows.outputOf(run)).toEqual([6, 7]);
				expect((await flows.codes(run)).filter((code) => code === "PassCompleted")).toHaveLength(2);
			}
		} finally {
			await other.close();
		}
	});
});

test("the step after a compute step begins within 50 ms of its result (median of 30)", async () => {
	flows.play = (x) => x ?? null;
	const steps = 30;
	const names = Array.from({ length: steps }, (_, n) => `Step${n}`);
	const states = names.map((name, n) => [
		name,
		flows.action({ ResultPath: "$.r", ...(n + 1 < steps ? { Next: names[n + 1] } : { End: true }) }, { args: [n] }),
	]);
	const run = await flows.start({ StartAt: "Step0", States: Object.fromEntries(states) });
	await flows.outputOf(run);
	const { rows: gaps } = await flows.cloud.database.query<{ ms: number }>(
		`select extract(epoch from v.entered_at - t.finished_at)::float8 * 1000 as ms
		from run_visits v join run_visits before on before.thread_id = v.thread_id and before.visit = v.visit - 1
		join run_actions a on a.thread_id = v.thread_id and a.turn = before.visit join tasks t on t.group_id = a.news_of
		where v.run_id = $1 order by 1`,
		[run],
	);
	expect(gaps).toHaveLength(steps - 1);
	const median = gaps[Math.floor(gaps.length / 2)]?.ms ?? Number.NaN;
	process.stdout.write(
		`from a result to the next step: median ${median.toFixed(1)} ms, most ${gaps.at(-1)?.ms.toFixed(1)} ms\n`,
	);
	expect(median).toBeLessThan(50);
});

const one = (state: object) => ({ StartAt: "Only", States: { Only: state } });

function each(more: object) {
	return {
		StartAt: "All",
		States: {
			All: {
				Type: "Map",
				ItemsPath: "$.items",
				ItemProcessor: {
					StartAt: "One",
					States: { One: flows.action({ End: true }, { "args.=": "[`$`]" }) },
				},
				ResultPath: "$.all",
				...more,
				End: true,
			},
		},
	};
}

/** The caller's tasks, newest first. */
async function tasks() {
	return (await flows.cloud.operations.listTasks(flows.caller, { limit: 1 })).items;
}
