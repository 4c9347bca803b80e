import type { AccountId, EndpointId } from "@errand/proto";
import type { Login } from "./login.ts";

/** Who makes a request, as its verified token says. */
export interface Caller {
	/** `endpoint`: an endpoint's own key, which acts for its owner in what concerns that endpoint and nothing else. */
	readonly kind: "account" | "endpoint";
	readonly accountId: AccountId;
	/** Set when `kind` is `endpoint`. */
	readonly endpointId?: EndpointId;
	readonly username: string;
	readonly admin: boolean;
	/** The request carries the state directory's own token: the operator of this cloud at its own machine. */
	readonly operator: boolean;
	readonly scopes: ReadonlySet<string>;
	/** Unix milliseconds. */
	readonly tokenExpiresAtMs: number;
	/** An endpoint's key has none. */
	readonly login?: Login;
}
