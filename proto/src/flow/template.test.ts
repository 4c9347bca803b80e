import { describe, expect, test } from "vitest";
import type { ActionState, WaitState } from "./definition.ts";
import { type FlowFailure, matchesError } from "./flow-failure.ts";
import type { Json } from "./json.ts";
import { parseFlow } from "./parse.ts";
import { hidePrivateDefinition, hidePrivateParameters, hidePrivateState, resolveInput } from "./template.ts";
import { retryDelayMs, ruleFor, waitEndMs } from "./wait.ts";

function only<State>(state: Json): State {
	const { flow, issues } = parseFlow({ StartAt: "S", States: { S: state } });
	if (!flow) throw new Error(JSON.stringify(issues));
	return flow.states.get("S") as State;
}
const action = (parameters: Json, more: object = {}): ActionState =>
	only({ Type: "Action", ActionUrl: "errand:compute", Parameters: parameters, End: true, ...more });

const scope = {
	state: { foo: "bar", list: [1, 2, 3], deep: { er: "x" }, _private: { key: "s3cret" } },
	context: { run_id: "r-1" },
};

describe("parameters", () => {
	test("are constants, paths and expressions, at any depth", () => {
		const { input } = action({
			constant: 10,
			"path.$": "$.deep.er",
			"computed.=": "foo + ' ' + `$.deep.er`",
			nested: [{ "run.$": "$._context.run_id", deeper: { "n.=": "[x * 2 for x in list[1:]]" } }],
		});
		expect(resolveInput(input, scope)).toEqual({
			constant: 10,
			path: "x",
			computed: "bar x",
			nested: [{ run: "r-1", deeper: { n: [4, 6] } }],
		});
	});

	test("a path that leads nowhere and an expression that fails are different errors", () => {
		const errorOf = (parameters: Json): string => {
			try {
				resolveInput(action(parameters).input, scope);
				return "";
			} catch (error) {
				return (error as FlowFailure).error;
			}
		};
		expect(errorOf({ "x.$": "$.gone" })).toBe("States.ParameterPathFailure");
		expect(errorOf({ "x.=": "gone + 1" })).toBe("States.QueryEvaluationError");
		expect(errorOf({ "x.=": "'ab' * 900_000" })).toBe("States.DataLimitExceeded");
		expect(errorOf(Object.fromEntries(Array.from({ length: 5 }, (_, i) => [`x${i}.=`, "'a' * 90_000"])))).toBe(
			"States.DataLimitExceeded",
		);
	});

	test("private ones are sent and not shown, with or without the ending of their key", () => {
		const document = {
			url: "https://example.org",
			"token.$": "$._private.key",
			inner: { "password.=": "'x' + foo", user: "u", __Private_Parameters: ["password"] },
			__Private_Parameters: ["token"],
		};
		const { input } = action(document);
		const value = resolveInput(input, scope);
		expect(value).toEqual({ url: "https://example.org", token: "s3cret", inner: { password: "xbar", user: "u" } });
		const shown = JSON.stringify([hidePrivateParameters(input, value), hidePrivateDefinition(document)]);
		for (const secret of ["s3cret", "xbar", "$._private.key", "'x' + foo"]) expect(shown).not.toContain(secret);
		expect(shown).toContain("https://example.org");
	});

	test("what begins with _private, and tokens of roles, are left out of a state that is shown", () => {
		expect(hidePrivateState({ a: [{ _private_x: 1, b: 2 }], _private: {}, _tokens: { Admin: "t" } })).toEqual({
			a: [{ b: 2 }],
		});
	});
});

describe("waiting", () => {
	const end = (wait: object, state: Json = {}): number =>
		waitEndMs(only<WaitState>({ Type: "Wait", End: true, ...wait }).until, { state, context: {} }, 1_000);
	test("is for seconds or until a time, written or in the state", () => {
		expect(end({ Seconds: 5 })).toBe(6_000);
		expect(end({ SecondsPath: "$.s" }, { s: 2.5 })).toBe(3_500);
		expect(end({ Timestamp: "1970-01-01T00:01:00Z" })).toBe(60_000);
		expect(end({ TimestampPath: "$.t" }, { t: "1970-01-01T01:00:30+01:00" })).toBe(30_000);
		expect(() => end({ SecondsPath: "$.s" }, { s: -1 })).toThrow("$.s is to be a number of seconds");
		expect(() => end({ TimestampPath: "$.t" }, { t: "soon" })).toThrow('is "soon"');
	});
});

test("a repeat waits longer each time, up to its limit, and not for ever", () => {
	const { retry } = action(
		{},
		{
			Retry: [
				{ ErrorEquals: ["ActionTimeout"], IntervalSeconds: 2, MaxAttempts: 4, BackoffRate: 3, MaxDelaySeconds: 20 },
				{ ErrorEquals: ["States.ALL"], JitterStrategy: "FULL" },
			],
		},
	);
	const [first, second] = retry;
	if (!first || !second) throw new Error("no rules");
	expect([1, 2, 3, 4, 5].map((repeat) => retryDelayMs(first, repeat, 0.5))).toEqual([
		2_000,
		6_000,
		18_000,
		20_000,
		undefined,
	]);
	expect(retryDelayMs(second, 1, 0.25)).toBe(250);
	expect(ruleFor(retry, "ActionTimeout")).toBe(first);
	expect(ruleFor(retry, "ActionUnableToRun")).toBe(second);
});

test("States.ALL is every error; States.TaskFailed is a failed action, not one out of time", () => {
	expect(matchesError(["States.ALL"], "NoBeam")).toBe(true);
	expect(matchesError(["States.TaskFailed"], "ActionFailedException")).toBe(true);
	expect(matchesError(["States.TaskFailed"], "ActionTimeout")).toBe(false);
	expect(matchesError(["NoBeam"], "NoBeam")).toBe(true);
});
