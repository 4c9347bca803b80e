/** All operations, from their ports. */
import { accountGroupOperations } from "./account-groups.ts";
import { authPolicyOperations } from "./auth-policies.ts";
import { blobOperations } from "./blobs.ts";
import { cancelOperations } from "./cancel.ts";
import { endpointOperations } from "./endpoints.ts";
import { flowOperations } from "./flows.ts";
import { functionOperations } from "./functions.ts";
import { leaseOperations } from "./leases.ts";
import type { Operations } from "./operations.ts";
import type { Ports } from "./ports.ts";
import { registrationOperations } from "./registration.ts";
import { runOperations } from "./runs.ts";
import { shareOperations } from "./shares.ts";
import { Standings } from "./standing.ts";
import { submitOperations } from "./submit.ts";
import { taskOperations } from "./tasks.ts";
import { transferAgentOperations } from "./transfer-agents.ts";
import { transferOperations } from "./transfers.ts";
import { userEndpointOperations } from "./user-endpoint-list.ts";

const checkTimeoutMs = 3_000;

export function createOperations(ports: Ports): Operations {
	const standings = new Standings(ports.database);
	return {
		...functionOperations(ports, standings),
		...registrationOperations(ports),
		...leaseOperations(ports),
		...endpointOperations(ports, standings),
		...userEndpointOperations(ports, standings),
		...shareOperations(ports),
		...accountGroupOperations(ports),
		...authPolicyOperations(ports),
		...submitOperations(ports, standings),
		...taskOperations(ports),
		...cancelOperations(ports),
		...blobOperations(ports),
		...flowOperations(ports),
		...runOperations(ports),
		...transferOperations(ports, standings),
		...transferAgentOperations(ports),
		async notReady() {
			const checks: [string, Promise<void>][] = [
				["the database", ports.database.check(checkTimeoutMs)],
				["the message broker", ports.broker.check()],
				["the blob store", ports.blobs.check()],
			];
			const outcomes = await Promise.allSettled(checks.map(([, check]) => check));
			return outcomes.flatMap((outcome, n) =>
				outcome.status === "fulfilled"
					? []
					: [`${checks[n]?.[0]}: ${outcome.reason instanceof Error ? outcome.reason.message : String(outcome.reason)}`],
			);
		},
	};
}
