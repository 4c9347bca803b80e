import { type TaskState, taskStateToWire, waitingWords } from "@errand/proto";
import type { BlockSummary, WaitingSummary } from "@errand/proto/rest";
import { describe, expect, test } from "vitest";
import { explain } from "./explain.ts";

const nowMs = Date.UTC(2026, 0, 31, 12, 0, 0);
const ago = (seconds: number): Date => new Date(nowMs - seconds * 1000);

type Task = Parameters<typeof explain>[0];
type Endpoint = NonNullable<Parameters<typeof explain>[1]["endpoint"]>;

function taskIn(state: TaskState, more: Partial<Task> = {}): Task {
	return {
		id: "aaaa1111-0000-4000-8000-000000000001" as Task["id"],
		endpoint_id: "22222222-2222-4222-8222-222222222222" as Task["endpoint_id"],
		endpoint_name: "polaris",
		state: taskStateToWire[state],
		created_at: ago(600),
		finished_at: null,
		finished_by: null,
		failure: null,
		cancel_requested_at: null,
		resources: null,
		version_skew: null,
		transitions: [],
		...more,
	};
}

const endpoint: Endpoint = {
	name: "polaris",
	active: true,
	last_seen_at: ago(10),
	locked_until: null,
	heartbeat_period_ms: 30_000,
	details: {},
};

const at = (task: Task, more: Partial<Endpoint> = {}, online = true) =>
	explain(task, { endpoint: { ...endpoint, ...more }, online, nowMs });

const waiting = (row: Partial<WaitingSummary>): { details: Record<string, unknown> } => ({
	details: { waiting: [{ demand: "plain", tasks: 3, word: "nodes-busy", sentence: "they are busy.", ...row }] },
});

const block = (more: Partial<BlockSummary>): BlockSummary => ({
	id: "b1",
	queue: "debug",
	state: "submitted",
	job_id: "4711",
	nodes: 2,
	managers: 0,
	reason: "",
	since_ms: nowMs - 60_000,
	expected_start_ms: null,
	ends_at_ms: null,
	...more,
});

describe("NEW-8: HQ-5: before the endpoint has the task, the cloud says why it waits", () => {
	test.each([
		[
			"endpoint-never-started",
			{ last_seen_at: null, active: false },
			"Endpoint polaris has never been started; it runs when somebody starts it there: errand endpoint start polaris.",
		],
		[
			"endpoint-offline",
			{ last_seen_at: ago(7200) },
			"Endpoint polaris has been offline since 2026-01-31 10:00 UTC (2 h ago); it goes on when the endpoint is back: errand endpoint start polaris.",
		],
		[
			"endpoint-stopped",
			{ last_seen_at: ago(180), active: false },
			"Endpoint polaris was stopped 3 min ago; it runs when somebody starts it again: errand endpoint start polaris.",
		],
		[
			"endpoint-stopped",
			{ active: false, locked_until: ago(-60) },
			"Endpoint polaris is locked until 2026-01-31 12:01 UTC; it runs when somebody starts it again after that: errand endpoint start polaris.",
		],
	] as const)("%s", (word, more, sentence) => {
		expect(at(taskIn("received"), more, false)).toMatchObject({ word, sentence, endpoint_status: "offline" });
		// What the endpoint said before it went does not hold any more.
		expect(at(taskIn("waiting-for-nodes"), { ...waiting({}), ...more }, false)).toMatchObject({ word, sentence });
		expect(at(taskIn("waiting-for-launch"), more, false)).toMatchObject({ word, sentence });
	});

	test("delivery: recorded, and the endpoint has not said that it has it", () => {
		const fresh = at(taskIn("received", { created_at: ago(2) }));
		expect(fresh).toMatchObject({
			word: "delivery",
			sentence: "It is recorded and on its way to endpoint polaris, which has not said that it has it.",
			since: ago(2).toISOString(),
			endpoint_status: "online",
			endpoint_seen_at: ago(10).toISOString(),
		});
		expect(at(taskIn("received", { created_at: ago(90) })).sentence).toContain("errand endpoint logs polaris");
	});

	test("of many tasks not all have been told of: after a moment the endpoint's word for the same demand holds", () => {
		const said = waiting({ word: "block-pending", sentence: "Twelve blocks are queued." });
		expect(at(taskIn("received", { created_at: ago(2) }), said).word).toBe("delivery");
		expect(at(taskIn("received", { created_at: ago(9) }), said)).toMatchObject({
			word: "block-pending",
			sentence: "Twelve blocks are queued.",
		});
	});

	test("since when: the task's last move, or the endpoint's last sign of life when that is later", () => {
		expect(at(taskIn("received"), { last_seen_at: ago(120) }, false).since).toBe(ago(120).toISOString());
		expect(at(taskIn("received"), { last_seen_at: ago(7200) }, false).since).toBe(ago(600).toISOString());
	});

	test("an endpoint that was deleted under a task is told", () => {
		const told = explain(taskIn("received"), { endpoint: undefined, online: false, nowMs });
		expect(told).toMatchObject({ word: "endpoint-stopped", endpoint_name: "", endpoint_seen_at: null });
		expect(told.sentence).toContain("deleted");
	});
});

describe("GC-9: a manager's task waits for a process of its own, and says so", () => {
	const process = {
		native: true,
		online: false,
		details: {},
		asked_at: ago(20),
		start_error: null,
		start_error_transient: false,
		last_seen_at: null,
		heartbeat_period_ms: 30_000,
	};
	const of = (
		more: Partial<typeof process | { start_error: string; start_error_transient: boolean; last_seen_at: Date }>,
		online = true,
	) => explain(taskIn("received"), { endpoint, online, nowMs, userEndpoint: { ...process, ...more } as never });

	test.each([
		[
			"user-endpoint-starting",
			{},
			"Endpoint polaris was asked 20 s ago to start the process for this task, which has not come up yet.",
		],
		[
			"user-endpoint-failed",
			{ start_error: "no account for ada\nask somebody" },
			"Endpoint polaris could not start the process for this task: no account for ada",
		],
		[
			"user-endpoint-failed",
			{ start_error: "too many", start_error_transient: true },
			"Endpoint polaris could not start the process for this task, and is asked again within two minutes: too many",
		],
		[
			"user-endpoint-stopped",
			{ asked_at: ago(600), last_seen_at: ago(300) },
			"Endpoint polaris does not run the process for this task, last heard of 5 min ago; it is asked to start it within two minutes.",
		],
	] as const)("%s", (word, more, sentence) => {
		expect(of(more)).toMatchObject({ word, sentence, endpoint_status: "online" });
	});

	test("a manager that is away is the reason, while its process is away too", () => {
		expect(of({}, false).word).toBe("endpoint-offline");
		expect(of({ online: true }, false).word).toBe("delivery");
	});

	test("what the process says of nodes holds, not what the manager says", () => {
		const rows = waiting({ word: "block-pending", sentence: "Two blocks are queued." });
		const told = explain(taskIn("waiting-for-nodes"), {
			endpoint: { ...endpoint, ...waiting({ word: "nodes-busy" }) },
			online: true,
			userEndpoint: { ...process, ...rows, online: true },
			nowMs,
		});
		expect(told).toMatchObject({ word: "block-pending", sentence: "Two blocks are queued." });
	});

	test.each([
		[true, "What runs there goes on."],
		[false, "What ran there may be lost with it."],
	])("of a running task whose process is gone (native: %s)", (native, sentence) => {
		const told = explain(taskIn("running"), { endpoint, online: true, nowMs, userEndpoint: { ...process, native } });
		expect(told.sentence).toContain(sentence);
	});
});

describe("NEW-8: HQ-5: at the endpoint, its own word and sentence for the task's demand are told", () => {
	const atEndpoint = waitingWords.slice(waitingWords.indexOf("dependency") + 1);

	test.each(atEndpoint)("%s", (word) => {
		const sentence = `The endpoint's own sentence about ${word}.`;
		expect(at(taskIn("waiting-for-nodes"), waiting({ word, sentence }))).toMatchObject({ word, sentence });
	});

	test("of several demands the task's own one is found", () => {
		const rows = [
			{ demand: "plain", tasks: 1, word: "nodes-busy", sentence: "busy" },
			{ demand: "4,g0.5@60000", tasks: 1, word: "walltime-does-not-fit", sentence: "no block is long enough" },
			{ demand: "1,n2,r8", tasks: 1, word: "block-limit", sentence: "no more blocks" },
		];
		const wordOf = (resources: Record<string, unknown> | null) =>
			at(taskIn("waiting-for-nodes", { resources }), { details: { waiting: rows } }).word;
		expect(wordOf(null)).toBe("nodes-busy");
		expect(wordOf({ priority: 5 })).toBe("nodes-busy");
		expect(wordOf({ cores: 4, gpus: 0.5, walltime_ms: 60_000 })).toBe("walltime-does-not-fit");
		expect(wordOf({ num_nodes: 2, num_ranks: 16 })).toBe("block-limit");
	});

	test("a row of another version, or of a foreign endpoint, does not hide the others", () => {
		const rows = [
			{ demand: "plain", word: "solar-flare", sentence: "?" },
			{ demand: "plain", tasks: 1, word: "paused", sentence: "it is paused" },
		];
		expect(at(taskIn("waiting-for-nodes"), { details: { waiting: rows, total_workers: "many" } }).word).toBe("paused");
		expect(at(taskIn("waiting-for-nodes"), { details: { waiting: "none", blocks: 7 } }).word).toBe("block-pending");
	});
});

describe("until the endpoint says more, its blocks tell", () => {
	test.each([
		[
			"nodes-busy",
			[block({ state: "active" }), block({})],
			"Endpoint polaris has it, and 2 nodes at work; it says more within 30 s.",
		],
		["block-starting", [block({ state: "starting" })], "1 block of endpoint polaris has its nodes and starts there."],
		[
			"block-pending",
			[block({ reason: "Priority", expected_start_ms: nowMs + 3_600_000 }), block({ state: "requested" })],
			"2 blocks of endpoint polaris wait at the scheduler, which says: Priority; it expects a start at 2026-01-31 13:00 UTC.",
		],
		[
			"block-held",
			[block({ state: "held", reason: "JobHeldUser" })],
			"1 block of endpoint polaris is held by the scheduler, which says: JobHeldUser.",
		],
		["block-pending", [], "Endpoint polaris has it and tells of no nodes yet; it says more within 30 s."],
	] as const)("%s", (word, blocks, sentence) => {
		expect(at(taskIn("waiting-for-nodes"), { details: { blocks } })).toMatchObject({ word, sentence });
	});

	test("busy is said of nodes only when their workers are", () => {
		const details = { blocks: [block({ state: "active", nodes: 1 })], idle_workers: 0 };
		expect(at(taskIn("waiting-for-nodes"), { details }).sentence).toBe(
			"Endpoint polaris has it; 1 node is at work, and every worker there is busy.",
		);
	});

	test("paused: whoever waits sees what stopped it", () => {
		const paused = "three blocks ended without a manager; slurmstepd: error: execve(): node: No such file";
		const told = at(taskIn("waiting-for-nodes"), {
			details: { paused, trouble: "block b3 failed", blocks: [block({})] },
		});
		expect(told).toMatchObject({ word: "paused", trouble: "block b3 failed" });
		expect(told.sentence).toContain(paused);
		expect(told.sentence).toContain("errand endpoint resume polaris");
	});
});

describe("a task that does not wait says so", () => {
	const moved = (state: TaskState, seconds: number, actor: string, reason = ""): Task["transitions"][number] => [
		taskStateToWire[state],
		ago(seconds).getTime(),
		actor,
		reason,
	];

	test("running: where and since when", () => {
		const task = taskIn("running", { transitions: [moved("running", 200, "nid0012")] });
		expect(at(task)).toMatchObject({
			word: null,
			sentence: "It does not wait: it has been running on nid0012 for 3 min.",
			since: ago(200).toISOString(),
		});
		expect(at(task, {}, false).sentence).toContain("What runs there goes on.");
	});

	test.each([
		["success", "It does not wait: it ended well 1 min ago."],
		["cancelled", "It does not wait: it was cancelled 1 min ago."],
		["failed", "It does not wait: it failed 1 min ago (RangeError: no flight)."],
	] as const)("%s", (state, sentence) => {
		const failure = {
			code: "FUNCTION_FAILED" as const,
			name: "RangeError",
			message: "no flight\nat all",
			stack: "",
			exit_code: 0,
			signal: "",
			stderr_tail: "",
		};
		const task = taskIn(state, { finished_at: ago(60), failure: state === "failed" ? failure : null });
		expect(at(task)).toMatchObject({ word: null, sentence, since: ago(60).toISOString() });
	});

	test("waiting for launch: a node has it", () => {
		const task = taskIn("waiting-for-launch", { transitions: [moved("waiting-for-launch", 3, "login-1")] });
		expect(at(task)).toMatchObject({ word: "worker-starting", since: ago(3).toISOString() });
		expect(at(task, waiting({ word: "nodes-busy" }))).toMatchObject({ word: "worker-starting" });
		const sentence = "It is at node nid0012 and waits for a worker there.";
		expect(at(task, waiting({ word: "worker-starting", sentence })).sentence).toBe(sentence);
	});

	test("what was put back after a loss, and what was asked to stop, is said besides", () => {
		const task = taskIn("waiting-for-nodes", {
			transitions: [moved("running", 60, "nid1"), moved("waiting-for-nodes", 5, "login-1", "node nid1 was lost")],
			cancel_requested_at: ago(2),
		});
		expect(at(task, waiting({ sentence: "All nodes are busy." })).sentence).toBe(
			"All nodes are busy. It was put back: node nid1 was lost. It has been asked to stop.",
		);
	});
});
