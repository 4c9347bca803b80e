/**
 * Which devices (GPUs) of one node are free. The interchange plans with it and the manager hands out indices with it, so
 * both say "fits" of the same wishes.
 */

/** A device is lent in ten-thousandths: integers, so that ten tenths are one. */
const deviceUnits = 10_000;

/** What {@link DeviceShares.take} gave: indices of devices, and how much of each. */
export interface DeviceGrant {
	/** Ascending; several for a whole number of devices, one for a fraction. */
	readonly devices: readonly number[];
	/** Of each of them, in ten-thousandths. */
	readonly units: number;
}

/** Whole devices, or a share of one: 0.25, 1, 2, but not 1.5. */
export const isDeviceWish = (gpus: number): boolean => gpus >= 0 && (gpus < 1 || Number.isInteger(gpus));

export class DeviceShares {
	readonly #free: number[];

	/** @param count how many devices the node has, all free */
	constructor(count: number) {
		this.#free = Array.from({ length: count }, () => deviceUnits);
	}

	get count(): number {
		return this.#free.length;
	}

	/** Devices of which nobody has any part. */
	get wholeFree(): number {
		let whole = 0;
		for (const units of this.#free) if (units === deviceUnits) whole++;
		return whole;
	}

	/** Whether {@link take} would give it now. */
	fits(gpus: number): boolean {
		return this.#choose(gpus) !== undefined;
	}

	/** Whether it could be given if everything were free. */
	couldEverFit(gpus: number): boolean {
		return isDeviceWish(gpus) && Math.ceil(gpus) <= this.count;
	}

	/** How many such wishes would be given one after another. */
	capacity(gpus: number): number {
		if (!isDeviceWish(gpus)) return 0;
		if (gpus === 0) return Number.POSITIVE_INFINITY;
		if (gpus >= 1) return Math.floor(this.wholeFree / gpus);
		const units = Math.max(1, Math.round(gpus * deviceUnits));
		return this.#free.reduce((count, free) => count + Math.floor(free / units), 0);
	}

	copy(): DeviceShares {
		const copied = new DeviceShares(0);
		copied.#free.push(...this.#free);
		return copied;
	}

	/** Whole devices: the lowest that nobody uses. A share: of the device that is fullest already, so that whole ones stay. */
	take(gpus: number): DeviceGrant | undefined {
		const grant = this.#choose(gpus);
		for (const device of grant?.devices ?? []) this.#free[device] = (this.#free[device] ?? 0) - (grant?.units ?? 0);
		return grant;
	}

	/** Inverse of {@link take}; once for each grant. */
	give({ devices, units }: DeviceGrant): void {
		for (const device of devices) this.#free[device] = (this.#free[device] ?? 0) + units;
	}

	#choose(gpus: number): DeviceGrant | undefined {
		if (!isDeviceWish(gpus)) return undefined;
		if (gpus === 0) return { devices: [], units: 0 };
		if (gpus >= 1) {
			const devices: number[] = [];
			for (let device = 0; device < this.#free.length && devices.length < gpus; device++)
				if (this.#free[device] === deviceUnits) devices.push(device);
			return devices.length < gpus ? undefined : { devices, units: deviceUnits };
		}
		const units = Math.max(1, Math.round(gpus * deviceUnits));
		let best = -1;
		for (const [device, free] of this.#free.entries())
			if (free >= units && (best < 0 || free < (this.#free[best] as number))) best = device;
		return best < 0 ? undefined : { devices: [best], units };
	}
}
