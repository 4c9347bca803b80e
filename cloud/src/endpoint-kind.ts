/** What an endpoint speaks, as its registration shows. */
export type EndpointKind =
	/** Our daemon: batches, reports and commands of our own. */
	| "errand"
	/** The public interface's manager: takes commands, and starts a user endpoint for each account and configuration. */
	| "manager"
	/** What the public interface had before managers: takes tasks itself. */
	| "single";

export function endpointKindOf(registration: {
	readonly multi_user?: unknown;
	readonly metadata?: unknown;
}): EndpointKind {
	const metadata = (registration.metadata ?? {}) as { errand_protocol?: unknown; user_config_template?: unknown };
	if (metadata.errand_protocol === 1) return "errand";
	return registration.multi_user === true || typeof metadata.user_config_template === "string" ? "manager" : "single";
}
