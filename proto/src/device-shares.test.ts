import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type DeviceGrant, DeviceShares } from "./device-shares.ts";

describe("HQ-2: devices of a node, whole and in parts", () => {
	test("whole ones are the lowest free, a part is of the device that is fullest", () => {
		const shares = new DeviceShares(4);
		expect(shares.take(1)).toEqual({ devices: [0], units: 10_000 });
		expect(shares.take(0.5)).toEqual({ devices: [1], units: 5000 });
		expect(shares.take(0.25)).toEqual({ devices: [1], units: 2500 });
		expect(shares.take(2)).toEqual({ devices: [2, 3], units: 10_000 });
		expect([shares.fits(1), shares.fits(0.3), shares.fits(0.25), shares.wholeFree]).toEqual([false, false, true, 0]);
	});

	test("ten tenths are one device", () => {
		const shares = new DeviceShares(1);
		for (let part = 0; part < 10; part++) expect(shares.take(0.1)).toBeDefined();
		expect(shares.take(0.1)).toBeUndefined();
	});

	test("one and a half is nothing that can be given", () => {
		const shares = new DeviceShares(4);
		expect([shares.take(1.5), shares.couldEverFit(1.5), shares.couldEverFit(4), shares.couldEverFit(5)]).toEqual([
			undefined,
			false,
			true,
			false,
		]);
	});

	test("no device is given more than once over, whatever is taken and given back", () => {
		const gpus = fc.oneof(
			fc.nat(4),
			fc.integer({ min: 1, max: 99 }).map((percent) => percent / 100),
		);
		const steps = fc.array(
			fc.oneof(
				gpus.map((gpus) => ({ gpus })),
				fc.record({ give: fc.nat() }),
			),
			{ maxLength: 80 },
		);
		fc.assert(
			fc.property(fc.nat(4), steps, (count, steps) => {
				const shares = new DeviceShares(count);
				const out: DeviceGrant[] = [];
				for (const step of steps) {
					if ("give" in step) {
						const [grant] = out.splice(step.give % Math.max(1, out.length), 1);
						if (grant !== undefined) shares.give(grant);
						continue;
					}
					const fits = shares.fits(step.gpus);
					const grant = shares.take(step.gpus);
					expect(grant !== undefined).toBe(fits);
					if (fits) expect(shares.couldEverFit(step.gpus)).toBe(true);
					if (grant !== undefined) out.push(grant);
					for (let device = 0; device < count; device++) {
						const used = out.filter((one) => one.devices.includes(device)).reduce((sum, one) => sum + one.units, 0);
						expect(used).toBeLessThanOrEqual(10_000);
					}
				}
				for (const grant of out) shares.give(grant);
				expect(shares.wholeFree).toBe(count);
			}),
		);
	});
});
