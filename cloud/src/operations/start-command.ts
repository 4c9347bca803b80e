/** What a manager of the public interface is told when a process for somebody is wanted. */
import type { AccountRow } from "../store/identity.ts";
import type { UserEndpointRow } from "../store/user-endpoints.ts";

interface StartCommand {
	readonly command: "cmd_start_endpoint";
	readonly args: readonly string[];
	readonly kwargs: Readonly<Record<string, unknown>>;
	readonly globus_username: string;
	readonly globus_effective_identity: string;
	readonly globus_identity_set: readonly Readonly<Record<string, unknown>>[];
}

/** `place`: where the process takes tasks and leaves results, with its password. */
export function startCommand(of: {
	row: Pick<UserEndpointRow, "id" | "endpoint_id" | "config" | "runtime">;
	account: Pick<AccountRow, "id" | "username" | "name" | "email">;
	place: Readonly<Record<string, unknown>>;
}): StartCommand {
	const { row, account, place } = of;
	const { id, username, email } = account;
	return {
		command: "cmd_start_endpoint",
		args: [],
		kwargs: {
			name: `uep.${row.endpoint_id}.${row.id}`,
			user_opts: row.config,
			user_runtime: row.runtime,
			amqp_creds: place,
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
