/** Logging this machine's user in and out: the device flow, kept in the credentials file. */
import { hostname } from "node:os";
import { errandHome, readLogins, type StoredLogin, updateLogins, withTokens } from "./credential-store.ts";
import { type DeviceLoginRequest, type DeviceTokens, requestDeviceLogin } from "./device-flow.ts";
import { normalizeCloudUrl, postForm } from "./oauth.ts";

export type { DevicePrompt } from "./device-flow.ts";

export interface DeviceLoginOptions extends DeviceLoginRequest {
	/** Where to keep the login; `errandHome()` if not given. */
	directory?: string;
}

/** Ends a login at its cloud; one that the cloud does not know any more is ended already. */
async function revoke(login: StoredLogin): Promise<void> {
	if (login.revocation_endpoint === undefined) return;
	const token = login.refresh_token ?? login.access_token;
	await postForm(login.revocation_endpoint, { token, client_id: login.client_id }).catch(() => undefined);
}

/**
 * Logs in and stores the login, which becomes the current one; an older login at the same cloud is ended.
 * Rejects with a Fault `USER_UNAUTHENTICATED` when it was denied or not confirmed in time, with the signal's reason
 * when that aborts.
 */
export async function deviceLogin(options: DeviceLoginOptions): Promise<DeviceTokens> {
	const tokens = await requestDeviceLogin({
		program: `errand on ${hostname()}`,
		...options,
	});
	const { cloudUrl, addresses } = tokens;
	const login = withTokens(
		{
			client_id: addresses.clientId,
			token_endpoint: addresses.tokenEndpoint,
			...(addresses.revocationEndpoint === undefined ? {} : { revocation_endpoint: addresses.revocationEndpoint }),
		},
		tokens,
	);
	const replaced = await updateLogins(options.directory ?? errandHome(), async (logins) => ({
		logins: { ...logins, current: cloudUrl, clouds: { ...logins.clouds, [cloudUrl]: login } },
		value: logins.clouds[cloudUrl],
	}));
	if (replaced !== undefined) await revoke(replaced);
	return tokens;
}

/**
 * Ends the login at `cloudUrl` (the current one if not given) here and at the cloud. Resolves to the address of the
 * cloud, or undefined when nobody was logged in. A cloud that does not answer keeps the login until its tokens end.
 */
export async function logout(options: { directory?: string; cloudUrl?: string } = {}): Promise<string | undefined> {
	const directory = options.directory ?? errandHome();
	const cloudUrl = options.cloudUrl === undefined ? readLogins(directory).current : normalizeCloudUrl(options.cloudUrl);
	if (cloudUrl === undefined) return undefined;
	const login = readLogins(directory).clouds[cloudUrl];
	if (login === undefined) return undefined;
	// At the cloud first: whoever is interrupted in between can do it again.
	await revoke(login);
	await updateLogins(directory, async (logins) => {
		const { [cloudUrl]: _ended, ...clouds } = logins.clouds;
		const next = logins.current === cloudUrl ? Object.keys(clouds)[0] : logins.current;
		return { logins: { version: 1, clouds, ...(next === undefined ? {} : { current: next }) }, value: undefined };
	});
	return cloudUrl;
}
