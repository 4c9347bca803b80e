/** What the operations work with. */
import type { AccountId, EndpointId } from "@errand/proto";
import type { BlobStore } from "../blobs/blobs.ts";
import type { Broker } from "../broker/broker.ts";
import type { Dispatch } from "../dispatch.ts";
import type { CloudEventBus } from "../observe/events.ts";
import type { MessagePublisher } from "../outlet.ts";
import type { Recorder } from "../results/recorder.ts";
import type { Log } from "../store/embedded-postgres.ts";
import type { FunctionCache } from "../store/function-cache.ts";
import type { Database } from "../store/pool.ts";
import type { Capabilities } from "../transfers/capability.ts";
import type { UserEndpoints } from "./user-endpoints.ts";

/** Keys of endpoints: identity's business. */
interface EndpointKeys {
	/** Makes the one key of an endpoint; the one before and its tokens end. */
	createEndpointKey(endpoint: EndpointId, owner: AccountId): Promise<{ clientId: string; clientSecret: string }>;
	/** May be repeated. */
	deleteEndpointKey(endpoint: EndpointId): Promise<void>;
}

export interface Ports {
	readonly database: Database;
	readonly broker: Broker;
	readonly blobs: BlobStore;
	readonly dispatch: Dispatch;
	readonly recorder: Recorder;
	readonly publisher: MessagePublisher;
	readonly functions: FunctionCache;
	readonly userEndpoints: UserEndpoints;
	readonly keys: EndpointKeys;
	/** This cloud, as endpoints reach it. */
	readonly cloudUrl: string;
	/** Where a key's credentials become tokens. */
	readonly tokenEndpoint: string;
	/** Why an action provider cannot be asked; undefined when it can. */
	readonly providerObstacle: (actionUrl: string) => string | undefined;
	/** The rights that transfers give. */
	readonly capabilities: Capabilities;
	readonly events: CloudEventBus;
	readonly log: Log;
}

/** What user endpoints are started with: everything that is there before them. */
export type UserEndpointPorts = Pick<
	Ports,
	| "database"
	| "broker"
	| "publisher"
	| "dispatch"
	| "recorder"
	| "keys"
	| "cloudUrl"
	| "tokenEndpoint"
	| "events"
	| "log"
>;
