/** Ids that a repeated step makes again: of requests, and of threads of branches. */
import { createHash } from "node:crypto";
import { idFromBytes, type TaskId } from "@errand/proto";

/** A UUID of version 8 (RFC 9562) from a hash: nobody outside can choose it. */
function derived(text: string): string {
	const bytes = createHash("sha256").update(text).digest().subarray(0, 16);
	bytes[6] = ((bytes[6] as number) & 0x0f) | 0x80;
	bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
	return idFromBytes<TaskId>(bytes);
}

/** What a provider is given with the request of a thread's turn, and with each repeat of it. */
export const requestIdOf = (thread: string, turn: number): string => derived(`request\0${thread}\0${turn}`);

export const branchIdOf = (thread: string, turn: number, nth: number): string =>
	derived(`branch\0${thread}\0${turn}\0${nth}`);
