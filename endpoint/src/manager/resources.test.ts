import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { gpuEnvironment, NodeShare, type Share } from "./node-share.ts";
import { command, failureIn, javascript, jsonOf, python, ScriptedDaemon } from "./scripted-daemon.ts";

describe("HQ-2: whole cores, memory and indexed GPUs", () => {
	test("no core, byte or GPU index is given twice, and everything given back can be given again", () => {
		const wish = fc.record({
			cores: fc.nat(5),
			memoryBytes: fc.nat(120),
			gpus: fc.oneof(
				fc.nat(4),
				fc.integer({ min: 1, max: 9 }).map((tenths) => tenths / 10),
			),
			nodes: fc.constantFrom(0, 1, 2),
			ranksPerNode: fc.nat(3),
			named: fc.array(fc.record({ name: fc.constantFrom("license", "disk"), amount: fc.nat(30).map((n) => n / 10) }), {
				maxLength: 2,
			}),
		});
		const total = { cores: 4, memoryBytes: 100, gpuIds: ["0", "1", "2"], named: { license: 2, disk: 0.5 } };
		const steps = fc.array(
			fc.oneof(
				wish.map((wish) => ({ wish })),
				fc.record({ give: fc.nat() }),
			),
			{ maxLength: 60 },
		);
		fc.assert(
			fc.property(steps, (steps) => {
				const node = new NodeShare(total, 3);
				const out: Share[] = [];
				for (const step of steps) {
					if ("give" in step) {
						const [share] = out.splice(step.give % Math.max(1, out.length), 1);
						if (share !== undefined) node.give(share);
						continue;
					}
					const share = node.take(step.wish);
					if (share !== undefined) out.push(share);
					if (node.refusal(step.wish) !== undefined) expect(share).toBeUndefined();
					const sum = (of: (share: Share) => number) => out.reduce((all, one) => all + of(one), 0);
					for (const [device, id] of total.gpuIds.entries()) {
						const users = out.filter((one) => one.gpuIds.includes(id));
						expect(users.every((one) => one.devices.devices.includes(device))).toBe(true);
						expect(users.reduce((all, one) => all + one.devices.units, 0)).toBeLessThanOrEqual(10_000);
					}
					expect(sum((one) => one.cores)).toBeLessThanOrEqual(4);
					expect(sum((one) => one.memoryBytes)).toBeLessThanOrEqual(100);
					expect(sum((one) => one.slots)).toBeLessThanOrEqual(3);
					expect(sum((one) => one.named.license ?? 0)).toBeLessThanOrEqual(2.00001);
					expect(sum((one) => one.named.disk ?? 0)).toBeLessThanOrEqual(0.50001);
					if (step.wish.nodes > 1 && share !== undefined) expect(out).toEqual([share]);
				}
				for (const share of out) node.give(share);
				const whole = node.take({ cores: 0, memoryBytes: 0, gpus: 0, nodes: 2, ranksPerNode: 0, named: [] });
				expect(whole).toMatchObject({ cores: 4, memoryBytes: 100, gpuIds: ["0", "1", "2"], named: total.named });
				expect(node.take({ cores: 1, memoryBytes: 0, gpus: 0, nodes: 1, ranksPerNode: 0, named: [] })).toBeUndefined();
			}),
		);
	});

	test("each running task sees the GPUs that are its own, in every vendor's words, and others see none", async () => {
		const daemon = await new ScriptedDaemon({
			options: { cores: 4, maxWorkers: 4, gpuIds: ["4", "5", "GPU-a"] },
		}).open();
		try {
			const look = javascript(
				"const { env } = process;\nexport async function f() { const seen = [env.CUDA_VISIBLE_DEVICES, env.HIP_VISIBLE_DEVICES, env.ROCR_VISIBLE_DEVICES, env.ZE_AFFINITY_MASK, env.ERRAND_CORES]; await new Promise((r) => setTimeout(r, 100)); return [seen, Date.now()]; }",
			);
			const two = [0, 1, 2].map(() => daemon.task(look, { resources: { gpus: 2, cores: 2 } }));
			const one = [0, 1].map(() => daemon.task(look, { resources: { gpus: 1 } }));
			daemon.submit(look, [...two, ...one]);
			const runs = [];
			for (const task of [...two, ...one]) {
				const result = await daemon.result(task);
				const [seen] = jsonOf(result) as [string[], number];
				expect(new Set(seen.slice(0, 4)).size).toBe(1);
				const { startedAtUs = 0, finishedAtUs = 0 } = result.execution ?? {};
				runs.push({ gpus: String(seen[0]).split(","), cores: Number(seen[4]), startedAtUs, finishedAtUs });
			}
			for (const a of runs)
				for (const b of runs) {
					const together = a !== b && a.startedAtUs < b.finishedAtUs && b.startedAtUs < a.finishedAtUs;
					if (together) expect(a.gpus.filter((id) => b.gpus.includes(id))).toEqual([]);
				}
			expect(runs.map(({ gpus, cores }) => [gpus.length, cores])).toEqual([
				[2, 2],
				[2, 2],
				[2, 2],
				[1, 1],
				[1, 1],
			]);
			const plain = jsonOf(await daemon.run(look)) as [string[], number];
			expect(plain[0]).toEqual(["", "", "", "", "1"]);
		} finally {
			await daemon.close();
		}
	});

	test("on AMD's devices ROCR's list goes first, and HIP counts among what is left", () => {
		expect(gpuEnvironment(["2", "3"], "amd")).toEqual({
			CUDA_VISIBLE_DEVICES: "0,1",
			HIP_VISIBLE_DEVICES: "0,1",
			ROCR_VISIBLE_DEVICES: "2,3",
			ZE_AFFINITY_MASK: "2,3",
		});
	});

	test("ENS-3: four members with a GPU each see four devices and run on processors that no other has", async () => {
		const daemon = await new ScriptedDaemon({
			// Four processors, whatever this machine has: each is named once, so none may be given twice.
			options: { cores: 4, maxWorkers: 4, gpuIds: ["0", "1", "2", "3"], cpuAffinity: "list:0:1:2:3" },
		}).open();
		try {
			// Each waits until all four run.
			const look = javascript(
				`import { readdirSync, writeFileSync } from "node:fs";
				const { env } = process;
				export async function f(directory) {
					writeFileSync(directory + "/here-" + env.ERRAND_TASK_ID, "");
					while (readdirSync(directory).filter((name) => name.startsWith("here-")).length < 4) await new Promise((r) => setTimeout(r, 20));
					return [env.CUDA_VISIBLE_DEVICES, env.ERRAND_CPUS, env.OMP_NUM_THREADS, env.GOMP_CPU_AFFINITY];
				}`,
			);
			const tasks = [1, 2, 3, 4].map(() => daemon.task(look, { args: [daemon.directory], resources: { gpus: 1 } }));
			daemon.submit(look, tasks);
			const seen = await Promise.all(tasks.map(async (task) => jsonOf(await daemon.result(task)) as string[]));
			expect(seen.map(([gpu]) => gpu).sort()).toEqual(["0", "1", "2", "3"]);
			expect(seen.map(([, cpus]) => cpus).sort()).toEqual(["0", "1", "2", "3"]);
			for (const [, cpus, threads, places] of seen) expect([threads, places]).toEqual(["1", cpus]);
		} finally {
			await daemon.close();
		}
	});

	test("a task of each language is where it was told to be, and so is what it starts", async () => {
		const daemon = await new ScriptedDaemon({ options: { cores: 1, maxWorkers: 1, cpuAffinity: "list:1" } }).open();
		try {
			const js = javascript(
				`import { readFileSync } from "node:fs";
				export const f = () => /Cpus_allowed_list:\\s*(\\S+)/.exec(readFileSync("/proc/self/status", "utf8"))[1];`,
			);
			const py = python("def f():\n    import os\n    return sorted(os.sched_getaffinity(0))\n");
			expect(jsonOf(await daemon.run(js))).toBe("1");
			expect(jsonOf(await daemon.run(py))).toEqual([1]);
			expect(jsonOf(await daemon.run(command("taskset -c -p $$")))).toMatchObject({
				stdout: expect.stringMatching(/affinity list: 1\n$/),
			});
		} finally {
			await daemon.close();
		}
	});

	test("a task finds what it was given of the endpoint's own resources", async () => {
		const daemon = await new ScriptedDaemon({ options: { named: { licenses: 2.5 } } }).open();
		try {
			const look = command("echo $ERRAND_RESOURCE_LICENSES");
			expect(daemon.hellos[0]?.node?.named).toMatchObject([{ name: "licenses", amount: 2.5 }]);
			const given = await daemon.run(look, { resources: { named: [{ name: "licenses", amount: 1.5 }] } });
			expect(jsonOf(given)).toMatchObject({ stdout: "1.5\n" });
			const failure = failureIn(await daemon.run(look, { resources: { named: [{ name: "licenses", amount: 3 }] } }));
			expect(failure.message).toMatch(/asks for 3 of licenses; this node offers 2.5/);
		} finally {
			await daemon.close();
		}
	});

	test("what this node can never give is refused with what it has", async () => {
		const daemon = await new ScriptedDaemon().open();
		try {
			const any = python("def f():\n    return 1\n");
			const failure = failureIn(await daemon.run(any, { resources: { gpus: 1 } }));
			expect(failure.code).toBe("RESOURCES_UNAVAILABLE");
			expect(failure.message).toMatch(/asks for 1 GPUs; this node offers 0/);
		} finally {
			await daemon.close();
		}
	});

	test("a runtime that is needed gets the slot of one that idles", async () => {
		const daemon = await new ScriptedDaemon({ options: { cores: 1, maxWorkers: 1 } }).open();
		try {
			const js = javascript("export const f = () => 1;");
			const py = python("def f():\n    return 2\n");
			for (let round = 0; round < 3; round++) {
				expect(jsonOf(await daemon.run(js))).toBe(1);
				expect(jsonOf(await daemon.run(py))).toBe(2);
			}
		} finally {
			await daemon.close();
		}
	});
});
