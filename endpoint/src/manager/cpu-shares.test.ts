import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type CpuGrant, CpuShares, cpuGroups, formatCpuList, parseCpuList } from "./cpu-shares.ts";

const eight = [0, 1, 2, 3, 4, 5, 6, 7];

describe("cpu_affinity", () => {
	test.each([
		["block", eight, 4, ["0-1", "2-3", "4-5", "6-7"]],
		["block-reverse", eight, 4, ["6-7", "4-5", "2-3", "0-1"]],
		["alternating", eight, 4, ["0,4", "1,5", "2,6", "3,7"]],
		["block", [4, 5, 12, 13, 14], 2, ["4-5", "12-14"]],
		["block", [0, 1], 8, ["0", "1"]],
		["list:0-1,8:4,12", eight, 2, ["0-1,8", "4,12"]],
		["none", eight, 2, []],
	] as const)("%s of %j for %i workers", (policy, allowed, workers, groups) => {
		expect(cpuGroups(policy, allowed, workers).map(formatCpuList)).toEqual(groups);
	});

	test("lists of processors are read and written as the kernel's", () => {
		fc.assert(
			fc.property(fc.uniqueArray(fc.nat(300)), (cpus) => {
				expect(parseCpuList(formatCpuList(cpus))).toEqual(cpus.toSorted((a, b) => a - b));
			}),
		);
	});

	test("a task that says nothing may use its whole group, but owns one processor of it", () => {
		const shares = new CpuShares(cpuGroups("block", eight, 4));
		const plain = shares.take(1, true);
		expect(plain).toEqual({ own: [0], allowed: [0, 1] });
		expect(shares.take(2, false)).toEqual({ own: [2, 3], allowed: [2, 3] });
		expect(shares.take(5, false).own.toSorted()).toEqual([1, 4, 5, 6, 7]);
		shares.give(plain);
		expect(shares.take(1, true, plain)).toEqual({ own: [0], allowed: [0] });
	});

	test("while there are enough, no processor has two owners", () => {
		const steps = fc.array(
			fc.record({ cores: fc.integer({ min: 1, max: 4 }), wide: fc.boolean(), give: fc.boolean() }),
		);
		fc.assert(
			fc.property(steps, fc.constantFrom("block", "alternating", "block-reverse"), (steps, policy) => {
				const shares = new CpuShares(cpuGroups(policy, eight, 3));
				const out: CpuGrant[] = [];
				let lent = 0;
				for (const { cores, wide, give } of steps) {
					if (give || lent + cores > 8) {
						const grant = out.shift();
						if (grant === undefined) continue;
						shares.give(grant);
						lent -= grant.own.length;
						continue;
					}
					out.push(shares.take(cores, wide));
					lent += cores;
					const owned = out.flatMap(({ own }) => own);
					expect(owned.length).toBe(lent);
					expect(new Set(owned).size).toBe(lent);
				}
			}),
		);
	});
});
