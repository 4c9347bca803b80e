/** What the cloud is told of this endpoint: now and then, and soon after something has changed. */
import { hostname } from "node:os";
import { encodeMessage } from "@errand/proto";
import type { EndpointStatusDetails } from "@errand/proto/rest";
import type { Clock } from "./clock.ts";

/** Heartbeats that tell of a change come at most this often. */
const notableMs = 1_000;
/** While tasks wait, people ask why: what they are told is no older than this. */
const waitingPeriodMs = 5_000;

export interface HeartbeatOptions {
	readonly endpointId: string;
	readonly version: string;
	readonly periodMs: number;
	readonly clock: Clock;
	/** What is different each time. */
	readonly state: () => Omit<EndpointStatusDetails, "heartbeat_period" | "active" | "errand_version" | "hostname">;
	/** Cheap: looked at several times a second. A change of `busy` is told soon. */
	readonly mood: () => { readonly waiting: boolean; readonly busy: boolean };
	readonly send: (body: Uint8Array) => Promise<void>;
}

export class Heartbeat {
	readonly #options: HeartbeatOptions;
	#toldAtMs = 0;
	#telling: NodeJS.Timeout | undefined;
	#closed = false;
	#toldBusy = false;

	constructor(options: HeartbeatOptions) {
		this.#options = options;
	}

	/** Tells it now. `active` false: the endpoint says good-bye. */
	tell(active = true): Promise<void> {
		const { clock, endpointId, version, periodMs, state, mood, send } = this.#options;
		this.#toldBusy = mood().busy;
		this.#toldAtMs = clock.steadyMs();
		clearTimeout(this.#telling);
		this.#telling = undefined;
		const details: EndpointStatusDetails = {
			heartbeat_period: active ? periodMs / 1000 : 0,
			active,
			errand_version: version,
			hostname: hostname(),
			...state(),
		};
		return send(
			encodeMessage("ep_status_report", { endpoint_id: endpointId, global_state: details, task_statuses: {} }),
		);
	}

	/** Something has changed. */
	tellSoon(): void {
		if (this.#closed || this.#telling) return;
		const waitMs = Math.max(0, this.#toldAtMs + notableMs - this.#options.clock.steadyMs());
		this.#telling = setTimeout(() => void this.tell(), waitMs);
	}

	tick(): void {
		const { clock, mood, periodMs } = this.#options;
		const { waiting, busy } = mood();
		const limitMs = waiting ? Math.min(periodMs, waitingPeriodMs) : periodMs;
		if (clock.steadyMs() - this.#toldAtMs >= limitMs) void this.tell();
		else if (busy !== this.#toldBusy) this.tellSoon();
	}

	close(): void {
		this.#closed = true;
		clearTimeout(this.#telling);
	}
}
