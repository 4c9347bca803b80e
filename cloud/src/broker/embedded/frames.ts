/** Frames on the wire: splitting what arrives, and building the few frames that are worth building by hand. */
import { Refusal } from "./refusal.ts";

export const frameTypes = { method: 1, header: 2, body: 3, heartbeat: 8 } as const;
const frameEnd = 206;
const headerBytes = 7;
/** What a frame has around its payload. */
export const frameOverheadBytes = headerBytes + 1;
const basicClass = 60;

export const heartbeatFrame = Buffer.from([frameTypes.heartbeat, 0, 0, 0, 0, 0, 0, frameEnd]);
export const protocolHeader = Buffer.from([65, 77, 81, 80, 0, 0, 9, 1]);

export type OnFrame = (type: number, channel: number, payload: Buffer) => void;

/**
 * Splits a stream of bytes into frames. Payloads are views of what was pushed: copy what is kept.
 * Bytes are joined only when a whole frame is there, so that a large frame in small pieces costs one copy.
 */
export class FrameSplitter {
	/** Largest payload; grows when the connection is tuned. */
	limitBytes: number;
	#pieces: Buffer[] = [];
	#heldBytes = 0;
	#neededBytes = headerBytes;
	#broken = false;

	constructor(limitBytes: number) {
		this.limitBytes = limitBytes;
	}

	/**
	 * Throws a Refusal (FRAME_ERROR) when the bytes are no frames: where the next one would start nobody knows then, so
	 * what follows is dropped. `wanted` false stops in between.
	 */
	push(chunk: Buffer, onFrame: OnFrame, wanted: () => boolean): void {
		if (this.#broken) return;
		this.#pieces.push(chunk);
		this.#heldBytes += chunk.length;
		if (this.#heldBytes < this.#neededBytes) return;
		const bytes = this.#pieces.length === 1 ? chunk : Buffer.concat(this.#pieces, this.#heldBytes);
		let at = 0;
		this.#neededBytes = headerBytes;
		while (wanted() && bytes.length - at >= headerBytes) {
			const size = bytes.readUInt32BE(at + 3);
			if (size > this.limitBytes) throw this.#refusal(`a frame of ${size} bytes; the limit is ${this.limitBytes}`);
			const whole = size + frameOverheadBytes;
			if (bytes.length - at < whole) {
				this.#neededBytes = whole;
				break;
			}
			if (bytes[at + whole - 1] !== frameEnd) throw this.#refusal("a frame does not end with its end mark");
			onFrame(bytes[at] as number, bytes.readUInt16BE(at + 1), bytes.subarray(at + headerBytes, at + whole - 1));
			at += whole;
		}
		const rest = at === 0 ? bytes : bytes.subarray(at);
		this.#pieces = rest.length === 0 ? [] : [rest];
		this.#heldBytes = rest.length;
	}

	#refusal(what: string): Refusal {
		this.#broken = true;
		this.#pieces = [];
		this.#heldBytes = 0;
		return new Refusal("FRAME_ERROR", what);
	}
}

/** Content of a message as it travels: the property flags and values undecoded, and the body. */
export interface Content {
	readonly properties: Buffer;
	readonly body: Buffer;
}

const copyBelowBytes = 16_384;

/** Content header and body frames after a method frame. Small messages become one buffer, large bodies are not copied. */
export function contentFrames(method: Buffer, channel: number, content: Content, frameMax: number): Buffer[] {
	const { properties, body } = content;
	const headerSize = headerBytes + 12 + properties.length + 1;
	const chunk = frameMax - frameOverheadBytes;
	const single = body.length <= chunk && body.length <= copyBelowBytes;
	const bodySize = single && body.length > 0 ? body.length + frameOverheadBytes : 0;
	const first = Buffer.allocUnsafe(method.length + headerSize + bodySize);
	let at = method.copy(first, 0);
	at = writeFrameStart(first, at, frameTypes.header, channel, 12 + properties.length);
	at = first.writeUInt32BE(basicClass << 16, at);
	at = first.writeUInt32BE(Math.floor(body.length / 2 ** 32), at);
	at = first.writeUInt32BE(body.length >>> 0, at);
	at += properties.copy(first, at);
	at = first.writeUInt8(frameEnd, at);
	if (bodySize > 0) {
		at = writeFrameStart(first, at, frameTypes.body, channel, body.length);
		at += body.copy(first, at);
		first.writeUInt8(frameEnd, at);
	}
	if (single) return [first];
	const frames: Buffer[] = [first];
	for (let offset = 0; offset < body.length; offset += chunk) {
		const piece = body.subarray(offset, offset + chunk);
		const start = Buffer.allocUnsafe(headerBytes);
		writeFrameStart(start, 0, frameTypes.body, channel, piece.length);
		frames.push(start, piece, endMark);
	}
	return frames;
}

const endMark = Buffer.from([frameEnd]);

function writeFrameStart(into: Buffer, at: number, type: number, channel: number, size: number): number {
	into[at] = type;
	into.writeUInt16BE(channel, at + 1);
	return into.writeUInt32BE(size, at + 3);
}

/** `basic.deliver`, the method that every delivered message needs: built by hand, three times faster than by table. */
export function deliverFrame(
	channel: number,
	consumerTag: Buffer,
	deliveryTag: number,
	redelivered: boolean,
	exchange: Buffer,
	routingKey: Buffer,
): Buffer {
	const size = 4 + 1 + consumerTag.length + 8 + 1 + 1 + exchange.length + 1 + routingKey.length;
	const frame = Buffer.allocUnsafe(size + frameOverheadBytes);
	let at = writeFrameStart(frame, 0, frameTypes.method, channel, size);
	at = frame.writeUInt32BE(3932220, at);
	at = writeShortString(frame, at, consumerTag);
	at = frame.writeUInt32BE(Math.floor(deliveryTag / 2 ** 32), at);
	at = frame.writeUInt32BE(deliveryTag >>> 0, at);
	at = frame.writeUInt8(redelivered ? 1 : 0, at);
	at = writeShortString(frame, at, exchange);
	at = writeShortString(frame, at, routingKey);
	frame.writeUInt8(frameEnd, at);
	return frame;
}

function writeShortString(into: Buffer, at: number, text: Buffer): number {
	into[at] = text.length;
	return at + 1 + text.copy(into, at + 1);
}
