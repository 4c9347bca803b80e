/** What makes two submits go to the same user endpoint. */
import { createHash } from "node:crypto";
import { type EndpointId, idFromBytes } from "@errand/proto";

/** The same for the same manager and its kind, account, configuration and versions of what serializes. */
export function userEndpointKey(of: {
	manager: EndpointId;
	native: boolean;
	account: string;
	config: Record<string, unknown>;
	runtime: Record<string, unknown>;
}): string {
	const { manager, native, account, config, runtime } = of;
	const word = (value: unknown): string => (typeof value === "string" ? (value.split(/\s/)[0] ?? "") : "");
	const versions = [word(runtime.python_version), word(runtime.globus_compute_sdk_version)];
	const kind = native ? "native user endpoint" : "user endpoint";
	const text = JSON.stringify([kind, manager, account, ordered(config), versions]);
	const bytes = createHash("sha256").update(text).digest().subarray(0, 16);
	bytes[6] = ((bytes[6] as number) & 0x0f) | 0x80;
	bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
	return idFromBytes<EndpointId>(bytes);
}

/** With the keys of objects in order. */
function ordered(value: unknown): unknown {
	if (Array.isArray(value)) return value.map(ordered);
	if (typeof value !== "object" || value === null) return value;
	const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
	return entries.map(([key, inner]) => [key, ordered(inner)]);
}
