/** Logging in and out, stored for this machine's user. Refused in a browser, where `runDeviceFlow` gives tokens. */
import { platform } from "#platform";
import type { LoginOptions, LogoutOptions } from "./platform/platform.ts";

export type { LoginOptions, LogoutOptions };

/**
 * Logs in by the device flow and stores the login (0600), which becomes the current one.
 *
 * ```ts
 * await deviceLogin({ cloudUrl: "http://localhost:5000", onPrompt: ({ verificationUri, userCode }) => show(verificationUri, userCode) });
 * ```
 */
export function deviceLogin(options: LoginOptions): Promise<{ cloudUrl: string }> {
	return platform.deviceLogin(options);
}

/** Ends a login here and at its cloud. Resolves to the cloud's address; undefined when nobody was logged in. */
export function logout(options: LogoutOptions = {}): Promise<string | undefined> {
	return platform.logout(options);
}
