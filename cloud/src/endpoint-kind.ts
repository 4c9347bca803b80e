/** What an endpoint speaks, as its registration shows. */
export type EndpointKind =
	/** Our daemon: batches, reports and commands of our own. */
	| "errand"
	/** Our daemon as a manager: takes commands of ours, and starts a user endpoint for each account and configuration. */
	| "errand-manager"
	/** The public interface's manager: takes commands, and starts a user endpoint for each account and configuration. */
	| "manager"
	/** What the public interface had before managers: takes tasks itself. */
	| "single";

export function endpointKindOf(registration: {
	readonly multi_user?: unknown;
	readonly metadata?: unknown;
}): EndpointKind {
	const metadata = (registration.metadata ?? {}) as {
		errand_protocol?: unknown;
		errand_manager?: unknown;
		user_config_template?: unknown;
	};
	if (metadata.errand_protocol === 1) return metadata.errand_manager === true ? "errand-manager" : "errand";
	return registration.multi_user === true || typeof metadata.user_config_template === "string" ? "manager" : "single";
}

/** For sentences: "endpoint lab is …". */
export const kindWords: { readonly [K in EndpointKind]: string } = {
	errand: "an endpoint that runs tasks itself",
	"errand-manager": "a manager endpoint, whose user endpoints run the tasks",
	manager: "a manager endpoint of Globus Compute, whose user endpoints run the tasks",
	single: "an endpoint of Globus Compute that runs tasks itself",
};

/** Whether it is one of ours: it takes our messages, and knows references and JavaScript. */
export const isOurs = (kind: EndpointKind): boolean => kind === "errand" || kind === "errand-manager";
