/** Approves a waiting device without its page: for the operator, who owns the cloud anyway. */
import { Fault } from "@errand/proto";
import { computeScope } from "@errand/proto/rest";
import type Provider from "oidc-provider";
import type { Accounts } from "./accounts.ts";

/** As typed: letters in any case, dashes and spaces anywhere. */
function normalizeUserCode(userCode: string): string {
	return userCode.toUpperCase().replace(/[^A-Z0-9]/g, "");
}

/** Rejects with `RESOURCE_CONFLICT` when no login waits for this code, `ACCOUNT_NOT_FOUND` for an unknown username. */
export async function approveDevice(
	provider: Provider,
	accounts: Accounts,
	request: { userCode: string; username: string },
): Promise<void> {
	const account = await accounts.accountByUsername(request.username);
	if (account === undefined) {
		throw new Fault("ACCOUNT_NOT_FOUND", `There is no account ${request.username}.`, { args: [request.username] });
	}
	const code = await provider.DeviceCode.findByUserCode(normalizeUserCode(request.userCode));
	if (code === undefined || code.accountId !== undefined || code.error !== undefined) {
		throw new Fault("RESOURCE_CONFLICT", `No login waits for the code ${request.userCode}: it ended or was used.`, {
			args: [request.userCode],
		});
	}
	const grant = new provider.Grant({ accountId: account.id, clientId: code.clientId as string });
	const scope = String(code.params?.scope ?? computeScope);
	grant.addOIDCScope(scope);
	Object.assign(code, {
		accountId: account.id,
		authTime: Math.floor(Date.now() / 1000),
		amr: ["operator"],
		grantId: await grant.save(),
		scope,
	});
	await code.save();
}
