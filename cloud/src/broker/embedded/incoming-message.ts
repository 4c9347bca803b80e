/** The content of one publish while its frames arrive: a header, then bodies until the header's size is reached. */
import type { ChannelHome } from "./channel-home.ts";
import type { Fields } from "./codec.ts";
import { Refusal } from "./refusal.ts";

/** As RabbitMQ's default: a larger body is refused at its header. */
const messageLimitBytes = 128 * 1024 * 1024;

/** Half-sent messages of one connection: two of the largest. */
const incomingLimitBytes = 2 * messageLimitBytes;

type State =
	| { at: "idle" }
	| { at: "header"; fields: Fields }
	| { at: "body"; fields: Fields; properties: Buffer; pieces: Buffer[]; sizeBytes: number; leftBytes: number };

type Received = (fields: Fields, properties: Buffer, body: Buffer) => void;

export class IncomingMessage {
	readonly #home: ChannelHome;
	readonly #received: Received;
	#state: State = { at: "idle" };

	constructor(home: ChannelHome, received: Received) {
		this.#home = home;
		this.#received = received;
	}

	get idle(): boolean {
		return this.#state.at === "idle";
	}

	/** A publish was announced: its content comes next. */
	expect(fields: Fields): void {
		this.#state = { at: "header", fields };
	}

	/** A content header frame. Throws a Refusal. */
	header(payload: Buffer): void {
		if (this.#state.at !== "header")
			throw new Refusal("UNEXPECTED_FRAME", "a content header that no publish announced");
		if (payload.length < 14 || payload.readUInt16BE(0) !== 60)
			throw new Refusal("FRAME_ERROR", "a content header that is none");
		const { fields } = this.#state;
		const sizeBytes = payload.readUInt32BE(4) * 2 ** 32 + payload.readUInt32BE(8);
		if (sizeBytes > messageLimitBytes) {
			this.#state = { at: "idle" };
			throw new Refusal(
				"PRECONDITION_FAILED",
				`message size ${sizeBytes} is larger than configured max size ${messageLimitBytes}`,
			);
		}
		if (this.#home.incomingBytes + sizeBytes > incomingLimitBytes)
			throw new Refusal(
				"RESOURCE_ERROR",
				`more than ${incomingLimitBytes} bytes of unfinished messages on one connection`,
			);
		this.#home.incomingBytes += sizeBytes;
		const properties = Buffer.from(payload.subarray(12));
		this.#state = { at: "body", fields, properties, pieces: [], sizeBytes, leftBytes: sizeBytes };
		if (sizeBytes === 0) this.#complete(fields, properties, Buffer.alloc(0));
	}

	/** A body frame. Throws a Refusal. */
	body(payload: Buffer): void {
		const state = this.#state;
		if (state.at !== "body") throw new Refusal("UNEXPECTED_FRAME", "a message body that no header announced");
		const { unfinished } = this.#home;
		state.leftBytes -= payload.length;
		unfinished.bytes += payload.length;
		if (unfinished.bytes > unfinished.limitBytes)
			throw new Refusal(
				"RESOURCE_ERROR",
				`more than ${unfinished.limitBytes} bytes of unfinished messages on all connections; try again`,
			);
		if (state.leftBytes < 0) throw new Refusal("FRAME_ERROR", "a message body that is longer than its header says");
		// A copy: frames are views of the socket's buffers.
		state.pieces.push(Buffer.from(payload));
		if (state.leftBytes > 0) return;
		const { fields, properties, pieces } = state;
		this.#complete(fields, properties, pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces));
	}

	/** What has come so far is forgotten. */
	drop(): void {
		if (this.#state.at === "body") {
			const { sizeBytes, leftBytes } = this.#state;
			this.#home.incomingBytes -= sizeBytes;
			this.#home.unfinished.bytes -= sizeBytes - leftBytes;
		}
		this.#state = { at: "idle" };
	}

	#complete(fields: Fields, properties: Buffer, body: Buffer): void {
		this.drop();
		this.#received(fields, properties, body);
	}
}
