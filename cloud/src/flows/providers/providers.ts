/** Which provider serves which address. */
import { isOwnProvider } from "@errand/proto/flow";
import type { Operations } from "../../operations/operations.ts";
import type { Database } from "../../store/pool.ts";
import { computeProvider } from "./compute.ts";
import { httpProvider, isAllowed } from "./http.ts";
import { type Provider, Refusal } from "./provider.ts";
import { transferProvider } from "./transfer.ts";

interface Means {
	readonly database: Database;
	readonly operations: Pick<Operations, "submit" | "cancelTasks" | "submitTransfer" | "getTransfer" | "cancelTransfer">;
}

export interface Providers {
	/** Why an address cannot be asked; undefined when it can. */
	obstacle(actionUrl: string): string | undefined;
	/** Throws a Refusal for an address that cannot be asked (any more). */
	serving(means: Means): (actionUrl: string) => Provider;
}

/** The service's own, by their address. */
const own: { readonly [url: string]: (means: Means) => Provider } = {
	"errand:compute": computeProvider,
	"errand:transfer": transferProvider,
};

/** `allowed`: addresses elsewhere that may be asked, or their beginnings with a slash at the end. */
export function openProviders(allowed: readonly string[]): Providers {
	function obstacle(url: string): string | undefined {
		if (Object.hasOwn(own, url) || isAllowed(url, allowed)) return undefined;
		if (isOwnProvider(url)) return `this version of the service has no ${url}`;
		return `the service does not ask ${url}; its operator lists who is asked in ERRAND_CLOUD_ACTION_PROVIDERS`;
	}

	return {
		obstacle,
		serving(means) {
			const made = new Map(Object.entries(own).map(([url, make]) => [url, make(means)]));
			const http = httpProvider();
			return (url) => {
				const why = obstacle(url);
				if (why !== undefined) throw new Refusal(why);
				return made.get(url) ?? http;
			};
		},
	};
}
