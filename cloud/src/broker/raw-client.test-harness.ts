/** For tests: a client that writes the bytes it is told to, where a library would write only good ones. */
import { connect, type Socket } from "node:net";
import { decodeMethod, encodeMethod, type Fields, methodName, methods } from "./embedded/codec.ts";
import { FrameSplitter, frameTypes, protocolHeader } from "./embedded/frames.ts";

export interface RawOptions {
	/** Seconds; 0 is none. */
	readonly heartbeat?: number;
	readonly channelMax?: number;
	readonly frameMax?: number;
}

/** Why the broker closed a channel (its number) or the connection (0). */
export interface RawClose {
	readonly channel: number;
	readonly code: number;
	readonly text: string;
}

/** A frame of any type around any payload. */
export function frameOf(type: number, channel: number, payload: Buffer): Buffer {
	const head = Buffer.alloc(7);
	head.writeUInt8(type, 0);
	head.writeUInt16BE(channel, 1);
	head.writeUInt32BE(payload.length, 3);
	return Buffer.concat([head, payload, Buffer.from([206])]);
}

/** A content header of so many body bytes; `properties`: flags and values. */
export function contentHeader(channel: number, bodyBytes: number, properties: Buffer): Buffer {
	const start = Buffer.alloc(12);
	start.writeUInt16BE(60, 0);
	start.writeUInt32BE(Math.floor(bodyBytes / 2 ** 32), 4);
	start.writeUInt32BE(bodyBytes >>> 0, 8);
	return frameOf(frameTypes.header, channel, Buffer.concat([start, properties]));
}

/** The three kinds of frames of one message. */
export function publication(
	channel: number,
	to: { exchange: string; routingKey: string },
	properties: Buffer,
	body: Buffer,
): Buffer {
	return Buffer.concat([
		encodeMethod(methods.basicPublish, channel, to),
		contentHeader(channel, body.length, properties),
		...(body.length > 0 ? [frameOf(frameTypes.body, channel, body)] : []),
	]);
}

/** A property list that has only a table of headers, made of these bytes. */
export function headersOnly(table: Buffer): Buffer {
	const start = Buffer.alloc(6);
	start.writeUInt16BE(1 << 13, 0);
	start.writeUInt32BE(table.length, 2);
	return Buffer.concat([start, table]);
}

/** A table in a table in a table: six bytes a level. */
export function nestedTable(levels: number): Buffer {
	const table = Buffer.alloc(levels * 6);
	for (let level = 0; level < levels; level++) {
		table.write("\u0000F", level * 6, "latin1");
		table.writeUInt32BE((levels - level - 1) * 6, level * 6 + 2);
	}
	return table;
}

export class RawClient {
	readonly socket: Socket;
	readonly methods: { readonly id: number; readonly channel: number; readonly fields: Fields }[] = [];
	readonly closes: RawClose[] = [];
	readonly closed: Promise<void>;
	readonly #splitter = new FrameSplitter(2 ** 31);
	readonly #watchers = new Set<() => void>();

	/** Connected, and nothing said. */
	constructor(url: string) {
		this.socket = connect(Number(new URL(url).port), "127.0.0.1");
		this.socket.on("error", () => undefined);
		this.closed = new Promise((resolve) => {
			this.socket.once("close", () => {
				this.#notice();
				resolve();
			});
		});
		this.socket.on("data", (chunk: Buffer) => {
			this.#splitter.push(
				chunk,
				(type, channel, payload) => {
					if (type !== frameTypes.method) return;
					const id = payload.readUInt32BE(0);
					const fields = decodeMethod(id, payload.subarray(4));
					this.methods.push({ id, channel, fields });
					if (id === methods.connectionClose || id === methods.channelClose)
						this.closes.push({ channel, code: fields.replyCode as number, text: fields.replyText as string });
				},
				() => true,
			);
			this.#notice();
		});
	}

	/** Logged in, with channel 1 open. */
	static async open(url: string, options: RawOptions = {}): Promise<RawClient> {
		const client = new RawClient(url);
		client.write(protocolHeader);
		await client.heard(methods.connectionStart);
		for (const greeting of loginOf(url, options)) client.write(greeting);
		client.write(encodeMethod(methods.channelOpen, 1, { outOfBand: "" }));
		await client.heard(methods.channelOpenOk);
		return client;
	}

	write(bytes: Buffer): void {
		if (!this.socket.destroyed) this.socket.write(bytes);
	}

	/** Resolves when the broker has sent this method; rejects when the connection ends without it. */
	async heard(id: number): Promise<void> {
		await this.until(() => this.methods.some((one) => one.id === id));
		if (!this.methods.some((one) => one.id === id))
			throw new Error(`the connection ended without ${methodName(id)}: ${JSON.stringify(this.closes)}`);
	}

	/** Resolves when it holds, or when the connection has ended. */
	until(holds: () => boolean): Promise<void> {
		if (holds() || this.socket.destroyed) return Promise.resolve();
		return new Promise((resolve) => {
			const look = (): void => {
				if (!holds() && !this.socket.destroyed) return;
				this.#watchers.delete(look);
				resolve();
			};
			this.#watchers.add(look);
		});
	}

	/** The reply code with which the broker ends a channel or the connection; undefined when it ends it without one. */
	async refusal(): Promise<number | undefined> {
		await this.until(() => this.closes.length > 0);
		return this.closes[0]?.code;
	}

	destroy(): void {
		this.socket.destroy();
	}

	#notice(): void {
		for (const look of [...this.#watchers]) look();
	}
}

/** What a client says between the greeting and its first channel. */
export function loginOf(url: string, { heartbeat = 0, channelMax = 100, frameMax = 131_072 }: RawOptions): Buffer[] {
	const { username, password } = new URL(url);
	const response = Buffer.from(`\0${decodeURIComponent(username)}\0${decodeURIComponent(password)}`);
	return [
		encodeMethod(methods.connectionStartOk, 0, { clientProperties: {}, mechanism: "PLAIN", response, locale: "en_US" }),
		encodeMethod(methods.connectionTuneOk, 0, { channelMax, frameMax, heartbeat }),
		encodeMethod(methods.connectionOpen, 0, { virtualHost: "/", capabilities: "", insist: false }),
	];
}
