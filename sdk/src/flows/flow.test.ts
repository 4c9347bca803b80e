import { readFlowSource } from "@errand/proto/flow-source";
import fc from "fast-check";
import { describe, expect, expectTypeOf, test } from "vitest";
import { allOf, anyOf, computed, type FlowBuilder, flow, input, is, not, type Reference } from "../index.ts";

const issuesOf = (document: unknown) =>
	readFlowSource(JSON.stringify(document)).issues.map(({ path, message }) => `${path}: ${message}`);
const endpoint = "6f2d1c1e-0000-4000-8000-000000000001";

function reconstruct() {
	return flow("Reconstruct", {
		raw: input.place({ title: "Raw data" }),
		project: input.place(),
		endpoint: input.endpoint(),
		queue: input.text({ default: "debug" }),
		limit: input.integer({ minimum: 1 }),
	})
		.transfer("Fetch", ({ input }) => ({ from: input.raw, to: input.project, recursive: true }), {
			retry: { attempts: 3, seconds: 10, maxSeconds: 60 },
			onError: (then) => then.fail("NoData", { error: "NoData", cause: "the raw data did not come" }),
		})
		.compute<"List", string[]>("List", ({ input }) => ({
			endpoint: input.endpoint,
			function: "list",
			args: [input.project.path, "*.h5"],
		}))
		.choice("Any", ({ steps, input }) => [
			[is(steps.List.details.result[0]).missing, (then) => then.fail("Nothing", { error: "Nothing" })],
			[allOf(is(input.limit).greaterThan(10), not(is(input.queue).equals("debug"))), (then) => then.wait("Pause", 60)],
			[anyOf(is(input.queue).matches("on-*"), is(input.limit).atMost(1)), () => undefined],
		])
		.map(
			"Each",
			({ steps, input }) => ({
				items: steps.List.details.result[0],
				given: { endpoint: input.endpoint, queue: input.queue },
				concurrency: 8,
				tolerate: { percent: 5 },
			}),
			(each) =>
				each.compute("Correct", ({ input }) => ({
					endpoint: input.given.endpoint,
					function: "correct",
					kwargs: { file: input.item, name: computed<string>`'scan_' + str(${input.index}).zfill(4)` },
					config: { queue: input.given.queue },
				})),
		)
		.parallel("Both", [
			(branch) =>
				branch.compute("Plots", ({ input, steps }) => ({
					endpoint: input.endpoint,
					function: "plots",
					args: [steps.Each],
				})),
			(branch) => branch.compose("Summary", ({ input }) => ({ path: input.project.path, done: true })),
		])
		.transfer("Return", ({ input }) => ({
			from: { id: input.project.id, path: computed<string>`${input.project.path}.rstrip('/') + '/results'` },
			to: input.raw,
		}));
}

/** Never called: the compiler is what checks. */
function typed(): void {
	const builder = reconstruct();
	expectTypeOf(builder).toExtend<FlowBuilder<{ limit: number; raw: { id: string; path: string } }, object>>();
	builder.compose("X", ({ steps, input }) => {
		expectTypeOf(steps.List.details.result[0]).toEqualTypeOf<Reference<string[]>>();
		expectTypeOf(input.raw.path).toEqualTypeOf<Reference<string>>();
		// @ts-expect-error no such step
		steps.Lits;
		// @ts-expect-error no such input
		input.rwa;
		// @ts-expect-error a number is compared with a number
		is(input.limit).equals("ten");
		// @ts-expect-error only text has a pattern
		is(input.limit).matches("1*");
		return {};
	});
}

describe("a flow in TypeScript", () => {
	test("NEW-12: knows the types of its input and of what its steps leave", () => {
		expect(typed).toBeTypeOf("function");
	});

	test("is the document that a person would write, without a fault", async () => {
		const document = reconstruct().build();
		expect(issuesOf(document)).toEqual([]);
		await expect(`${JSON.stringify(document, undefined, "\t")}\n`).toMatchFileSnapshot("./reconstruct.golden.txt");
	});

	test("a branch that has no steps goes on, and one at the end of the flow ends it", () => {
		const { definition } = flow("T", { n: input.number() })
			.choice("Which", ({ input }) => [[is(input.n).lessThan(0), () => undefined]])
			.build();
		expect(definition.States).toEqual({
			Which: { Type: "Choice", Choices: [{ Variable: "$.n", NumericLessThan: 0, Next: "Done" }], Default: "Done" },
			Done: { Type: "Succeed" },
		});
	});

	test.each<[string, () => unknown]>([
		["there is a step or an input", () => flow("T", { a: input.flag() }).succeed("a")],
		["names are unique", () => flow("T", {}).wait("A", 1).wait("A", 1)],
		["nothing leads to", () => flow("T", {}).succeed("A").wait("B", 1)],
		[
			"not taken as a key",
			() =>
				flow("T", {}).compose("A", ({ context }) => ({
					x: (context as unknown as { constructor: string }).constructor,
				})),
		],
		["does not end in .$", () => flow("T", {}).compose("A", { "x.$": "$.y" })],
		["only what JSON has", () => flow("T", {}).compose("A", { x: computed`${(() => 1) as unknown}` })],
		["not taken as the name", () => flow("T", {}).wait("12", 1)],
		["is not an address", () => flow("T", {}).action("A", { url: "nowhere", body: {} }).build()],
		[
			"WaitTime is a whole number",
			() => flow("T", {}).action("A", { url: "errand:compute", body: {} }, { waitSeconds: 0 }).build(),
		],
		["not the steps of a branch", () => flow("T", {}).parallel("P", [(branch) => branch.wait("W", 1).build()])],
	])("says: %s", (words, make) => {
		expect(make).toThrow(TypeError);
		expect(make).toThrow(words);
	});
});

type Any = FlowBuilder<
	{ n: number; s: string; error?: unknown },
	Record<string, { details: { result: readonly unknown[] } }>
>;
type Plan = { kind: number; text: string; number: number; inner: Plan[][] };

/** Programs of builder calls. */
const plans = (depth: number): fc.Arbitrary<Plan[]> =>
	fc.array(
		fc.record({
			kind: fc.nat(9),
			text: fc.string({ maxLength: 8, unit: "binary" }),
			number: fc.double({ noNaN: true, noDefaultInfinity: true }),
			inner: depth > 0 ? fc.array(plans(depth - 1), { maxLength: 2 }) : fc.constant([]),
		}),
		{ maxLength: 3 },
	);

function write(builder: Any, program: readonly Plan[], name: () => string): void {
	let open = true;
	for (const { kind, text, number, inner } of program) {
		if (!open) return;
		const writes = inner.map((part) => (then: unknown) => write(then as Any, part, name));
		const first = writes[0] ?? (() => undefined);
		const values = {
			text,
			number,
			list: [text, [number, null]],
			live: builder,
			deep: { [`k${text}`.replaceAll(/[^\w]/g, "_")]: true },
		};
		if (kind <= 1)
			builder.compute(
				name(),
				({ input }) => ({ endpoint, function: "f", args: [input.n, text, { s: input.s }], kwargs: { number, text } }),
				kind === 0 ? { onError: first } : {},
			);
		else if (kind <= 3)
			builder.compose(name(), ({ input }) => ({
				...values,
				live: input.n,
				computed: computed`${input.s} + ${text} + str(${number})`,
			}));
		else if (kind === 4)
			builder.choice(name(), ({ input }) => [
				[is(input.s).equals(text), first],
				[not(is(input.n).atLeast(number)), writes[1] ?? (() => undefined)],
			]);
		else if (kind === 5) builder.parallel(name(), [first, ...writes], { retry: { attempts: 1 } });
		else if (kind === 6)
			builder.map(name(), ({ input }) => ({ items: [input.n, text], given: { s: input.s } }), first, {
				timeoutSeconds: 60,
			});
		else if (kind === 7) builder.wait(name(), Math.min(1e6, Math.abs(number)));
		else if (kind === 8)
			builder.transfer(name(), ({ input }) => ({ from: { id: input.s, path: text }, to: { id: text, path: input.s } }));
		else {
			builder.fail(name(), { error: `E${text}` });
			open = false;
		}
	}
}

test("numbers that are no safe integers are written as what they are", () => {
	for (const number of [2 ** 53, -(2 ** 53), 1e300, 5e-324, Number.MAX_SAFE_INTEGER]) {
		const built = flow("T", { s: input.text() })
			.compose("a", ({ input }) => ({ computed: computed`${input.s} + str(${number})` }))
			.build();
		expect(issuesOf(built)).toEqual([]);
	}
});

test("whatever is written, what is built has no fault", () => {
	fc.assert(
		fc.property(plans(3), (program) => {
			let count = 0;
			const builder = flow("T", { n: input.number(), s: input.text() });
			try {
				write(builder as unknown as Any, program, () => `step ${count++}'"`);
			} catch (error) {
				// The one thing that the types do not show: a step after branches that all end.
				if (String(error).includes("nothing leads to")) return;
				throw error;
			}
			expect(issuesOf(builder.build())).toEqual([]);
		}),
		{ numRuns: 150 },
	);
});
