/**
 * How the cloud reads what a broker sends it. amqplib ends the connection when it cannot decode the properties of a
 * message, and the broker would deliver that message again, without end and before all others: whoever may publish
 * anything could stop the cloud from hearing anybody. So properties that cannot be decoded count as none; what takes the
 * message sees that it makes no sense, refuses it, and says so.
 */
import type { ChannelModel } from "amqplib";
import { amqplibInternals } from "./amqplib-internals.ts";
import type { Log } from "./logging.ts";

interface Frame {
	readonly type: number;
	readonly channel: number;
	readonly payload: Buffer;
	readonly rest: Buffer;
}

/** What of amqplib's connection takes part in reading. */
interface Reading {
	rest: Buffer;
	maxFrameSize: number;
	recvSinceLastCheck: boolean;
	readonly stream: { read(): Buffer | null };
	recvFrame(): unknown;
}

const { parseFrame, decodeFrame } = amqplibInternals("frame.js") as {
	parseFrame(bytes: Buffer, maxBytes: number): Frame | false;
	decodeFrame(frame: Frame): unknown;
};

const headerType = 2;

/** From now on undecodable properties end nothing. */
export function readTolerantly(model: ChannelModel, log: Log): void {
	const reading = model.connection as unknown as Reading;
	reading.recvFrame = () => {
		for (;;) {
			const frame = parseFrame(reading.rest, reading.maxFrameSize);
			if (frame) {
				reading.rest = frame.rest;
				return decode(frame, log);
			}
			const incoming = reading.stream.read();
			if (incoming === null) return false;
			reading.recvSinceLastCheck = true;
			reading.rest = Buffer.concat([reading.rest, incoming]);
		}
	};
}

function decode(frame: Frame, log: Log): unknown {
	try {
		return decodeFrame(frame);
	} catch (error) {
		if (frame.type !== headerType) throw error;
		const { channel, payload } = frame;
		log.warn({ channel, reason: (error as Error).message }, "the properties of a message cannot be read");
		return { id: payload.readUInt16BE(0), channel, size: Number(payload.readBigUInt64BE(4)), fields: {} };
	}
}
