/** What this client says about itself with a submit: a manager's template may ask for it (`_GC.user_runtime`). */
import { platform } from "#platform";

/** As in package.json. */
const sdkVersion = "0.1.0";

/** Nothing of the machine's name or of who uses it. */
export function clientRuntime(): Record<string, unknown> {
	return { errand_sdk_version: sdkVersion, ...platform.runtime() };
}
