/** Frames between manager and worker: a 4-byte little-endian length, then that many bytes of one protobuf message. */

/** Larger than any inline payload; what claims more is not a frame of ours. */
const frameLimitBytes = 64 * 1024 * 1024;

/** Inverse of {@link FrameReader}. */
export function encodeFrame(message: Uint8Array): Buffer {
	const frame = Buffer.allocUnsafe(4 + message.length);
	frame.writeUInt32LE(message.length, 0);
	frame.set(message, 4);
	return frame;
}

/** Cuts a byte stream into frames. The views it hands out stay valid: chunks are never reused. */
export class FrameReader {
	#pending: Buffer[] = [];
	#pendingBytes = 0;

	/** All messages that are whole now. Throws a RangeError when the stream cannot be frames. */
	push(chunk: Buffer): Buffer[] {
		this.#pending.push(chunk);
		this.#pendingBytes += chunk.length;
		const first = this.#pending[0] as Buffer;
		if (this.#pending.length > 1 && first.length >= 4 && this.#pendingBytes < 4 + first.readUInt32LE(0)) return [];
		let bytes = this.#pending.length === 1 ? first : Buffer.concat(this.#pending, this.#pendingBytes);
		const messages: Buffer[] = [];
		while (bytes.length >= 4) {
			const size = bytes.readUInt32LE(0);
			if (size > frameLimitBytes) throw new RangeError(`a frame of ${size} bytes; the limit is ${frameLimitBytes}`);
			if (bytes.length < 4 + size) break;
			messages.push(bytes.subarray(4, 4 + size));
			bytes = bytes.subarray(4 + size);
		}
		this.#pending = bytes.length > 0 ? [bytes] : [];
		this.#pendingBytes = bytes.length;
		return messages;
	}
}
