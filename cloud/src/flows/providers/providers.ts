/** Which provider serves which address. */
import { isOwnProvider } from "@errand/proto/flow";
import type { Operations } from "../../operations/operations.ts";
import type { Database } from "../../store/pool.ts";
import { computeProvider } from "./compute.ts";
import { type Provider, Refusal } from "./provider.ts";

interface Means {
	readonly database: Database;
	readonly operations: Pick<Operations, "submit" | "cancelTasks">;
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
};

export function openProviders(): Providers {
	function obstacle(url: string): string | undefined {
		if (Object.hasOwn(own, url)) return undefined;
		if (isOwnProvider(url)) return `this version of the service has no ${url} yet`;
		return `the service does not ask ${url}`;
	}
	return {
		obstacle,
		serving(means) {
			const made = new Map(Object.entries(own).map(([url, make]) => [url, make(means)]));
			return (url) => {
				const provider = made.get(url);
				if (provider === undefined) throw new Refusal(obstacle(url) ?? `nobody serves ${url}`);
				return provider;
			};
		},
	};
}
