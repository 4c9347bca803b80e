/** Settings that a scheduler has nothing for: a block that says one of them is refused, never quietly changed. */
import type { QueueConfig } from "../config/queue.ts";
import { type BlockSpec, SubmitRejected } from "./scheduler.ts";

/** By setting, what to do instead. */
export type Lacks = Partial<Readonly<Record<keyof QueueConfig, string>>>;

/** Throws {@link SubmitRejected} with the setting as config.yaml names it. */
export function refuseWhatLacks(scheduler: string, lacks: Lacks, { queue }: BlockSpec): void {
	for (const [setting, instead] of Object.entries(lacks) as [keyof QueueConfig, string][]) {
		const value = queue[setting];
		if (value !== undefined && value !== "")
			throw new SubmitRejected(`${scheduler} has nothing for ${settingName(setting)} (${String(value)}): ${instead}`);
	}
}

/** "dependsOnJob" → "depends_on_job". */
const settingName = (setting: string): string => setting.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
