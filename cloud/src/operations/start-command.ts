/** What a manager is told when a process for somebody is wanted. */
import type { StartUserEndpointCommand } from "@errand/proto";
import type { AccountRow } from "../store/identity.ts";
import type { UserEndpointRow } from "../store/user-endpoints.ts";
import type { credentialsAt } from "./broker-places.ts";

type OwnKey = StartUserEndpointCommand["kwargs"]["errand"];

/**
 * `place`: where the process takes tasks and leaves results, with its password. `key`: for a process of ours, which
 * registers by itself.
 */
export function startCommand(of: {
	row: Pick<UserEndpointRow, "id" | "endpoint_id" | "config" | "runtime">;
	account: Pick<AccountRow, "id" | "username" | "name" | "email">;
	place: ReturnType<typeof credentialsAt>;
	key: OwnKey | undefined;
}): Omit<StartUserEndpointCommand, "kwargs"> & {
	kwargs: Omit<StartUserEndpointCommand["kwargs"], "errand"> & { errand?: OwnKey };
} {
	const { row, account, place, key } = of;
	const { id, username, email } = account;
	return {
		command: "cmd_start_endpoint",
		args: [],
		kwargs: {
			name: `uep.${row.endpoint_id}.${row.id}`,
			user_opts: row.config,
			user_runtime: row.runtime,
			amqp_creds: place,
			...(key && { errand: key }),
		},
		globus_username: username,
		globus_effective_identity: id,
		globus_identity_set: [
			{
				sub: id,
				id,
				username,
				email,
				name: account.name === "" ? username : account.name,
				organization: null,
				identity_provider: null,
				identity_provider_display_name: null,
				last_authentication: null,
				identity_type: "login",
				status: "used",
			},
		],
	};
}
