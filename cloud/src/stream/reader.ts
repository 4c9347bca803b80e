import type { TaskGroupId } from "@errand/proto";
import type { streamKinds } from "@errand/proto/rest";

/** Where a reader's frames go. */
export interface Sink {
	/** Takes a frame; keeps the order; does not throw. */
	send(text: string): void;
	/** Bytes taken and not yet given to the network. */
	readonly bufferedBytes: number;
}

/** One reader's place at the hub. */
export interface Reader {
	/** Follows a group from behind a cursor; again: from there. The caller must have been authorized for the group. */
	subscribe(group: TaskGroupId, cursor: bigint, also: ReadonlySet<(typeof streamKinds)[number]>): void;
	unsubscribe(group: TaskGroupId): void;
	/** This many more result frames may be sent. */
	grant(frames: number): void;
	/** To be called when the sink has given bytes to the network. */
	drained(): void;
	readonly groups: readonly TaskGroupId[];
	close(): void;
}
