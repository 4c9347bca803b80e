/**
 * What happens in the cloud, as typed events: logs, metrics, the stream hub and tests listen to the same ones.
 */
import { EventEmitter } from "node:events";
import type { AuthPolicyId, EndpointId, TaskGroupId, TaskId, TransferId } from "@errand/proto";
import type { StreamFrame, StreamResult } from "@errand/proto/rest";

export interface CloudEvents {
	/** Committed. In the order of their cursors within one cloud process. */
	"tasks:submitted": [{ group: TaskGroupId; endpoint: EndpointId; count: number }];
	/** Committed results of one group: `results[i]` has cursor `cursors[i]`, ascending. */
	"results:recorded": [{ group: TaskGroupId; cursors: readonly bigint[]; results: readonly StreamResult[] }];
	/**
	 * A recording failed, perhaps after its commit: what is told next may leave out something committed before it.
	 * To be emitted before the next `results:recorded`.
	 */
	"results:uncertain": [];
	/** Another cloud process committed results of this group: whoever follows it reads them by cursor. */
	"results:elsewhere": [{ group: TaskGroupId }];
	/** A state change, output or progress report of a task whose endpoint was checked. */
	"task:reported": [{ group: TaskGroupId; frame: Extract<StreamFrame, { type: "state" | "output" | "progress" }> }];
	/** Its registration is another, or it is gone: what was remembered of it is old. */
	"endpoint:changed": [{ endpoint: EndpointId }];
	/** Committed: a thread of a run was begun, or told something. */
	"run:told": [{ thread: string }];
	/** What was remembered of it is old. */
	"auth-policy:changed": [{ policy: AuthPolicyId }];
	"endpoint:heartbeat": [{ endpoint: EndpointId; state: Record<string, unknown> }];
	/** These agents have something else to do. */
	"transfers:changed": [{ agents: readonly EndpointId[] }];
	/** However it ended. */
	"transfer:ended": [{ transfer: TransferId }];
	/** It ends: whoever waits in a request is answered. */
	"cloud:stopping": [];
	"message:rejected": [{ queue: string; reason: string; endpoint: string }];
	"broker:connected": [];
	"broker:lost": [{ reason: string }];
	"task:unknown-result": [{ endpoint: EndpointId; task: TaskId }];
}

export class CloudEventBus extends EventEmitter<CloudEvents> {}
