/** A guest's tasks of a day: counted before they are recorded, so that two submits at once cannot pass the limit together. */
import { type AccountId, type EndpointId, Fault } from "@errand/proto";
import type { Database } from "../store/pool.ts";
import { giveBackTasks, takeTasks, tasksTaken } from "../store/shares.ts";

interface Claim {
	readonly endpoint: EndpointId;
	readonly account: AccountId;
	/** Null: no limit, nothing is counted. */
	readonly limit: number | null;
	readonly count: number;
	/** Whether this request was recorded before: a repeat is answered even when the day is used up. */
	isRepeat(): Promise<boolean>;
}

/** Does the work when the claim fits in today's limit; throws QUOTA_EXCEEDED otherwise. What is not recorded is not counted. */
export async function withinQuota(
	database: Database,
	claim: Claim,
	work: () => Promise<"recorded" | "repeat">,
): Promise<"recorded" | "repeat"> {
	const { endpoint, account, limit, count } = claim;
	if (limit === null) return await work();
	if (!(await takeTasks(database, endpoint, account, count, limit))) {
		if (await claim.isRepeat()) return await work();
		const taken = await tasksTaken(database, endpoint, account);
		throw new Fault(
			"QUOTA_EXCEEDED",
			`${count} more would pass your limit of ${limit} tasks a day on endpoint ${endpoint}: ${taken} are used. ` +
				`The next day begins at ${nextDay(Date.now())}; its owner can allow more`,
			{ args: [endpoint, String(limit), String(taken), String(count)] },
		);
	}
	let outcome: "recorded" | "repeat" | undefined;
	try {
		outcome = await work();
		return outcome;
	} finally {
		if (outcome !== "recorded") await giveBackTasks(database, endpoint, account, count);
	}
}

/** Midnight UTC. */
function nextDay(nowMs: number): string {
	const dayMs = 86_400_000;
	return new Date((Math.floor(nowMs / dayMs) + 1) * dayMs).toISOString();
}
