/** What the daemon tells the cloud when it registers. */
import { hostname, userInfo } from "node:os";
import { basename } from "node:path";
import type { EndpointRegistration } from "@errand/proto/rest";
import type { EndpointConfig } from "../config/config.ts";

export function registrationOf(
	directory: string,
	{ displayName, public: isPublic, allowedFunctions, admins, authenticationPolicy, collections }: EndpointConfig,
	journalId: string,
	version: string,
): EndpointRegistration {
	return {
		endpoint_name: basename(directory),
		...(displayName !== undefined && { display_name: displayName }),
		public: isPublic,
		...(allowedFunctions !== undefined && { allowed_functions: [...allowedFunctions] }),
		...(authenticationPolicy !== undefined && { authentication_policy: authenticationPolicy }),
		...(admins.length > 0 && { admins: [...admins] }),
		metadata: {
			errand_protocol: 1,
			errand_journal_id: journalId,
			...(collections.length > 0 && { errand_collections: true }),
			endpoint_version: version,
			hostname: hostname(),
			local_user: userInfo().username,
			pid: process.pid,
			node_version: process.version,
		},
	};
}
