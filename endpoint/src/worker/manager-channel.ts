/** The worker's end of the socket pair on file descriptor 3. */
import { writeSync } from "node:fs";
import { Socket } from "node:net";
import {
	fromBinary,
	toBinary,
	type WorkerReply,
	WorkerReplySchema,
	type WorkerRequest,
	WorkerRequestSchema,
} from "@errand/proto/wire";
import { encodeFrame, FrameReader } from "./frames.ts";

const channelFd = 3;

/** A full socket is looked at again after this long; the manager reads it within a turn of its loop. */
const fullSocketWaitMs = 1;

export interface ManagerChannel {
	/** Returns when the reply is in the kernel: whatever the next task does to this process, it cannot take it back. */
	send(reply: WorkerReply): void;
}

/** Opens file descriptor 3. `onRequests` gets what has arrived, in order; `onEnd` is called when the manager is gone. */
export function openManagerChannel(onRequests: (requests: WorkerRequest[]) => void, onEnd: () => void): ManagerChannel {
	const reader = new FrameReader();
	const socket = new Socket({ fd: channelFd, readable: true, writable: false });
	socket.on("data", (chunk: Buffer) =>
		onRequests(reader.push(chunk).map((frame) => fromBinary(WorkerRequestSchema, frame))),
	);
	socket.on("error", onEnd);
	socket.on("close", onEnd);
	return { send: (reply) => writeAll(encodeFrame(toBinary(WorkerReplySchema, reply))) };
}

const never = new Int32Array(new SharedArrayBuffer(4));

function writeAll(frame: Buffer): void {
	let at = 0;
	while (at < frame.length) {
		try {
			at += writeSync(channelFd, frame, at);
		} catch (error) {
			const code = (error as NodeJS.ErrnoException).code;
			if (code === "EPIPE" || code === "ECONNRESET") return; // `onEnd` follows
			if (code !== "EAGAIN") throw error;
			Atomics.wait(never, 0, 0, fullSocketWaitMs);
		}
	}
}
