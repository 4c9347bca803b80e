/** Every route of the service but the identity provider's and those of the operator. */
import type { Operations } from "../../operations/operations.ts";
import type { Route } from "../route.ts";
import { accountGroups } from "./v1/account-groups.ts";
import { administration } from "./v1/administration.ts";
import { authPolicies } from "./v1/auth-policies.ts";
import { blobs } from "./v1/blobs.ts";
import { endpoints as endpointsV1 } from "./v1/endpoints.ts";
import { flows } from "./v1/flows.ts";
import { functions as functionsV1 } from "./v1/functions.ts";
import { runs } from "./v1/runs.ts";
import { shares } from "./v1/shares.ts";
import { taskGroups } from "./v1/task-groups.ts";
import { tasks as tasksV1 } from "./v1/tasks.ts";
import { transfers } from "./v1/transfers.ts";
import { authProjects } from "./v2/auth-projects.ts";
import { endpoints as endpointsV2 } from "./v2/endpoints.ts";
import { functions as functionsV2 } from "./v2/functions.ts";
import { submit as submitV2 } from "./v2/submit.ts";
import { tasks as tasksV2 } from "./v2/tasks.ts";
import { version } from "./v2/version.ts";
import { endpoints as endpointsV3 } from "./v3/endpoints.ts";
import { functions as functionsV3 } from "./v3/functions.ts";
import { submit as submitV3 } from "./v3/submit.ts";

export function routeTable(operations: Operations, errandVersion: string): Route[] {
	const rooms = [
		submitV3,
		functionsV3,
		endpointsV3,
		submitV2,
		tasksV2,
		functionsV2,
		endpointsV2,
		functionsV1,
		endpointsV1,
		tasksV1,
		taskGroups,
		accountGroups,
		authPolicies,
		authProjects,
		shares,
		administration,
		blobs,
		flows,
		runs,
		transfers,
	];
	return [...version(errandVersion), ...rooms.flatMap((room) => room(operations))];
}
