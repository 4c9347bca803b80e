/** One client's connection: handshake, frames in and out, heartbeats, and an orderly end. */
import type { Socket } from "node:net";
import type { Log } from "../logging.ts";
import { Channel } from "./channel.ts";
import type { ChannelHome } from "./channel-home.ts";
import { decodeMethod, encodeMethod, type Fields, methodName, methods } from "./codec.ts";
import {
	type Content,
	contentFrames,
	FrameSplitter,
	frameOverheadBytes,
	frameTypes,
	heartbeatFrame,
	protocolHeader,
} from "./frames.ts";
import { Refusal } from "./refusal.ts";
import type { User } from "./users.ts";
import type { VirtualHost } from "./virtual-host.ts";

export interface SessionOptions {
	socket: Socket;
	host: VirtualHost;
	log: Log;
	/** Undefined when name or password are wrong. */
	authenticate(name: string, password: string): User | undefined;
	/** Throws a Refusal when the user has as many connections as it may have. */
	onAuthenticated(session: Session, user: User): void;
	onClosed(session: Session): void;
	/** Of all sessions together. */
	unfinished: ChannelHome["unfinished"];
	handshakeTimeoutMs: number;
	heartbeatS: number;
	version: string;
}

const frameMaxBytes = 131_072;
const channelMax = 2047;
/** Before anybody is known: enough for client properties, too little to hurt. */
const greetingFrameBytes = 16_384;
/** Waiting in a socket before deliveries to it stop and, when it is the client's own doing, its requests too. */
const socketBacklogBytes = 1024 * 1024;
/** Published and not on disk, all clients together, before reading from publishers stops. */
const diskBacklogBytes = 32 * 1024 * 1024;
/** For the client's answer to our close. */
const closeTimeoutMs = 2_000;

type State =
	| { name: "greeting" }
	| { name: "starting" }
	| { name: "tuning"; user: User; cancelNotify: boolean }
	| { name: "opening"; user: User; cancelNotify: boolean }
	| { name: "open"; home: ChannelHome; pulse: NodeJS.Timeout | undefined }
	| { name: "closing"; timer: NodeJS.Timeout }
	| { name: "closed" };

export class Session {
	readonly #options: SessionOptions;
	readonly #socket: Socket;
	readonly #splitter = new FrameSplitter(greetingFrameBytes);
	/** `undefined`: closed by us, the client's close-ok is still to come. */
	readonly #channels = new Map<number, Channel | undefined>();
	#state: State = { name: "greeting" };
	#greeting: Buffer = Buffer.alloc(0);
	#handshake: NodeJS.Timeout | undefined;
	#corked = false;
	#frameMax = frameMaxBytes;
	#channelMax = channelMax;
	#heartbeatS = 0;
	#heardAtMs = Date.now();
	#spokeAtMs = Date.now();
	#waitingForDisk = false;

	constructor(options: SessionOptions) {
		this.#options = options;
		this.#socket = options.socket;
		this.#handshake = setTimeout(() => {
			options.log.warn(this.#about(), "amqp client did not finish its handshake");
			this.#socket.destroy();
		}, options.handshakeTimeoutMs);
		this.#socket.setNoDelay(true);
		this.#socket.on("data", (chunk: Buffer) => this.#received(chunk));
		this.#socket.on("drain", () => this.#drained());
		this.#socket.on("error", (error) => options.log.debug({ ...this.#about(), err: error }, "amqp socket failed"));
		this.#socket.on("close", () => this.#ended());
	}

	/** Ends the connection in order; the client hears why. */
	close(refusal: Refusal): void {
		this.#refuse(refusal, 0);
	}

	/** Ends it now. */
	destroy(): void {
		this.#socket.destroy();
	}

	#about(): Record<string, unknown> {
		const user = this.#state.name === "open" ? this.#state.home.user.name : undefined;
		return { peer: `${this.#socket.remoteAddress}:${this.#socket.remotePort}`, user, state: this.#state.name };
	}

	/** The one place where the state changes: what the old state owned is let go. */
	#move(next: State): void {
		const last = this.#state;
		if (last.name === "open") {
			clearInterval(last.pulse);
			for (const channel of this.#channels.values()) channel?.dispose();
			this.#channels.clear();
		} else if (last.name === "closing") clearTimeout(last.timer);
		if (next.name === "open" || next.name === "closing" || next.name === "closed") {
			clearTimeout(this.#handshake);
			this.#handshake = undefined;
		}
		this.#state = next;
	}

	#received(chunk: Buffer): void {
		if (this.#state.name === "closed") return;
		this.#heardAtMs = Date.now();
		try {
			const rest = this.#state.name === "greeting" ? this.#greet(chunk) : chunk;
			if (rest.length > 0)
				this.#splitter.push(
					rest,
					(type, channel, payload) => this.#frame(type, channel, payload),
					() => this.#state.name !== "closed",
				);
		} catch (error) {
			this.#failed(error, 0, 0);
		}
		this.#considerPause();
	}

	/** Returns what follows the protocol header. */
	#greet(chunk: Buffer): Buffer {
		this.#greeting = Buffer.concat([this.#greeting, chunk]);
		const length = protocolHeader.length;
		const given = this.#greeting.subarray(0, length);
		if (!given.equals(protocolHeader.subarray(0, given.length))) {
			this.#move({ name: "closed" });
			// As the protocol wants it: the version that we speak, and good bye.
			this.#socket.end(protocolHeader);
			this.#options.log.warn(this.#about(), "client does not speak amqp 0-9-1");
			return Buffer.alloc(0);
		}
		if (given.length < length) return Buffer.alloc(0);
		this.#move({ name: "starting" });
		this.#send(methods.connectionStart, 0, {
			versionMajor: 0,
			versionMinor: 9,
			serverProperties: {
				product: "Errand",
				version: this.#options.version,
				platform: "Node.js",
				capabilities: {
					publisher_confirms: true,
					"basic.nack": true,
					consumer_cancel_notify: true,
					per_consumer_qos: true,
					authentication_failure_close: true,
					exchange_exchange_bindings: false,
					"connection.blocked": false,
				},
			},
			mechanisms: Buffer.from("PLAIN"),
			locales: Buffer.from("en_US"),
		});
		const rest = this.#greeting.subarray(length);
		this.#greeting = Buffer.alloc(0);
		return rest;
	}

	#frame(type: number, channel: number, payload: Buffer): void {
		let id = 0;
		try {
			if (type === frameTypes.heartbeat) {
				if (channel !== 0) throw new Refusal("COMMAND_INVALID", "a heartbeat on a channel");
				return;
			}
			if (type === frameTypes.method) {
				if (payload.length < 4) throw new Refusal("FRAME_ERROR", "a method frame without a method");
				id = payload.readUInt32BE(0);
				const fields = decode(id, payload);
				if (channel === 0) this.#connectionMethod(id, fields);
				else this.#channelMethod(id, channel, fields);
				return;
			}
			if (type !== frameTypes.header && type !== frameTypes.body)
				throw new Refusal("FRAME_ERROR", `unknown frame type ${type}`);
			if (this.#state.name === "closing") return;
			if (!this.#channels.has(channel))
				throw new Refusal("CHANNEL_ERROR", `expected 'channel.open' before content on channel ${channel}`);
			const target = this.#channels.get(channel);
			if (type === frameTypes.header) target?.header(payload);
			else target?.body(payload);
		} catch (error) {
			this.#failed(error, channel, id);
		}
	}

	#connectionMethod(id: number, fields: Fields): void {
		if (this.#state.name === "closing") {
			if (id === methods.connectionCloseOk) this.#finish();
			else if (id === methods.connectionClose) this.#send(methods.connectionCloseOk, 0, {});
			return;
		}
		if (id === methods.connectionClose) {
			this.#send(methods.connectionCloseOk, 0, {});
			this.#finish();
			return;
		}
		if (this.#state.name === "starting" && id === methods.connectionStartOk) this.#startOk(fields);
		else if (this.#state.name === "tuning" && id === methods.connectionTuneOk) this.#tuneOk(this.#state, fields);
		else if (this.#state.name === "opening" && id === methods.connectionOpen) this.#open(this.#state, fields);
		else throw new Refusal("COMMAND_INVALID", `unexpected ${methodName(id)} while ${this.#state.name}`);
	}

	#startOk(fields: Fields): void {
		const mechanism = fields.mechanism as string;
		if (mechanism !== "PLAIN")
			throw new Refusal("ACCESS_REFUSED", `no authentication by ${mechanism}: only PLAIN`, { ends: "connection" });
		const [, name = "", password = ""] = Buffer.from(fields.response as Uint8Array)
			.toString("utf8")
			.split("\0");
		const user = this.#options.authenticate(name, password);
		if (!user) {
			this.#options.log.warn({ ...this.#about(), user: name }, "amqp login refused");
			throw new Refusal("ACCESS_REFUSED", "Login was refused using authentication mechanism PLAIN.", {
				ends: "connection",
			});
		}
		const { capabilities } = fields.clientProperties as { capabilities?: Record<string, unknown> };
		this.#move({ name: "tuning", user, cancelNotify: capabilities?.consumer_cancel_notify === true });
		this.#options.onAuthenticated(this, user);
		this.#send(methods.connectionTune, 0, {
			channelMax,
			frameMax: frameMaxBytes,
			heartbeat: this.#options.heartbeatS,
		});
	}

	#tuneOk(state: Extract<State, { name: "tuning" }>, fields: Fields): void {
		// 0 means "whatever you say".
		const askedFrame = (fields.frameMax as number) || frameMaxBytes;
		if (askedFrame < 4096) throw new Refusal("NOT_ALLOWED", `frame_max ${askedFrame}: at least 4096`);
		if (askedFrame > frameMaxBytes)
			throw new Refusal("NOT_ALLOWED", `frame_max ${askedFrame}: at most ${frameMaxBytes}`);
		this.#frameMax = askedFrame;
		this.#channelMax = Math.min((fields.channelMax as number) || channelMax, channelMax);
		this.#heartbeatS = fields.heartbeat as number;
		this.#splitter.limitBytes = this.#frameMax - frameOverheadBytes;
		this.#move({ name: "opening", user: state.user, cancelNotify: state.cancelNotify });
	}

	#open(state: Extract<State, { name: "opening" }>, fields: Fields): void {
		if (fields.virtualHost !== "/")
			throw new Refusal(
				"NOT_ALLOWED",
				`vhost ${String(fields.virtualHost).slice(0, 100)} not found; there is only '/'`,
			);
		const session = this;
		const home: ChannelHome = {
			user: state.user,
			host: this.#options.host,
			cancelNotify: state.cancelNotify,
			incomingBytes: 0,
			unfinished: this.#options.unfinished,
			consumers: 0,
			get writable() {
				return session.#socket.writableLength < socketBacklogBytes;
			},
			send: (method, channel, reply) => this.#send(method, channel, reply),
			sendContent: (method, channel, content) => this.#sendContent(method, channel, content),
			fail: (refusal) => setImmediate(() => this.#failed(refusal, 0, 0)),
		};
		this.#move({ name: "open", home, pulse: this.#startPulse() });
		this.#send(methods.connectionOpenOk, 0, { knownHosts: "" });
	}

	#channelMethod(id: number, number: number, fields: Fields): void {
		if (this.#state.name === "closing") return;
		if (this.#state.name !== "open")
			throw new Refusal("COMMAND_INVALID", `${methodName(id)} before the connection is open`);
		if (!this.#channels.has(number)) {
			if (id === methods.channelCloseOk) return;
			if (id !== methods.channelOpen)
				throw new Refusal("CHANNEL_ERROR", `expected 'channel.open' on channel ${number}, got ${methodName(id)}`);
			if (number > this.#channelMax)
				throw new Refusal("NOT_ALLOWED", `channel ${number}: at most ${this.#channelMax} were agreed`);
			this.#channels.set(number, new Channel(number, this.#state.home));
			this.#send(methods.channelOpenOk, number, { channelId: Buffer.alloc(0) });
			return;
		}
		const channel = this.#channels.get(number);
		if (id === methods.channelClose) {
			this.#channels.delete(number);
			channel?.dispose();
			this.#send(methods.channelCloseOk, number, {});
		} else if (id === methods.channelCloseOk) {
			if (channel === undefined) this.#channels.delete(number);
		} else if (id === methods.channelOpen) {
			throw new Refusal("CHANNEL_ERROR", "second 'channel.open' seen");
		} else channel?.method(id, fields);
	}

	#failed(error: unknown, channel: number, method: number): void {
		if (error instanceof Refusal) {
			if (error.cause !== undefined) this.#options.log.error({ ...this.#about(), err: error }, "amqp request failed");
			this.#refuse(error, channel, method);
			return;
		}
		this.#options.log.error({ ...this.#about(), method: methodName(method), err: error }, "amqp request broke");
		this.#refuse(new Refusal("INTERNAL_ERROR", "the broker failed on this request", { cause: error }), channel, method);
	}

	#refuse(refusal: Refusal, channel: number, method = 0): void {
		if (this.#state.name === "closed" || this.#state.name === "closing") return;
		const close = {
			replyCode: refusal.code,
			replyText: refusal.replyText,
			classId: method >>> 16,
			methodId: method & 0xffff,
		};
		if (refusal.ends === "channel" && channel !== 0) {
			this.#channels.get(channel)?.dispose();
			this.#channels.set(channel, undefined);
			this.#send(methods.channelClose, channel, close);
			this.#options.log.debug({ ...this.#about(), channel, reply: refusal.replyText }, "amqp channel closed");
			return;
		}
		this.#options.log.warn({ ...this.#about(), reply: refusal.replyText }, "amqp connection closed");
		if (this.#state.name === "greeting") {
			this.#socket.destroy();
			return;
		}
		this.#send(methods.connectionClose, 0, close);
		this.#move({ name: "closing", timer: setTimeout(() => this.#socket.destroy(), closeTimeoutMs) });
	}

	#finish(): void {
		this.#move({ name: "closed" });
		this.#socket.end();
		// A client that does not close its side is not waited for.
		const timer = setTimeout(() => this.#socket.destroy(), closeTimeoutMs);
		this.#socket.once("close", () => clearTimeout(timer));
	}

	#ended(): void {
		if (this.#state.name === "open") this.#options.log.debug(this.#about(), "amqp client left");
		this.#move({ name: "closed" });
		clearTimeout(this.#handshake);
		this.#options.onClosed(this);
	}

	/** What is written in one turn leaves in one piece. */
	#write(buffer: Buffer): void {
		if (this.#state.name === "closed" && this.#socket.writableEnded) return;
		if (!this.#corked) {
			this.#corked = true;
			this.#socket.cork();
			process.nextTick(() => {
				this.#corked = false;
				this.#socket.uncork();
			});
		}
		this.#spokeAtMs = Date.now();
		this.#socket.write(buffer);
	}

	#send(method: number, channel: number, fields: Fields): void {
		this.#write(encodeMethod(method, channel, fields));
	}

	#sendContent(method: Buffer | { id: number; fields: Fields }, channel: number, content: Content): void {
		const start = Buffer.isBuffer(method) ? method : encodeMethod(method.id, channel, method.fields);
		for (const frame of contentFrames(start, channel, content, this.#frameMax)) this.#write(frame);
	}

	/** Who does not read its answers, or publishes faster than the disk, is not read from for a while. */
	#considerPause(): void {
		if (this.#socket.writableLength > 2 * socketBacklogBytes) this.#socket.pause();
		if (this.#waitingForDisk || this.#options.host.backlogBytes < diskBacklogBytes) return;
		this.#waitingForDisk = true;
		this.#socket.pause();
		this.#options.host.onFlushed(() => {
			this.#waitingForDisk = false;
			this.#drained();
		});
	}

	#drained(): void {
		if (!this.#waitingForDisk && this.#socket.isPaused() && this.#socket.writableLength <= socketBacklogBytes)
			this.#socket.resume();
		for (const channel of this.#channels.values()) channel?.resume();
	}

	#startPulse(): NodeJS.Timeout | undefined {
		if (this.#heartbeatS === 0) return undefined;
		const periodMs = this.#heartbeatS * 1000;
		return setInterval(() => {
			const nowMs = Date.now();
			// A client that we do not read from cannot be heard.
			if (nowMs - this.#heardAtMs > 2 * periodMs && !this.#socket.isPaused()) {
				this.#options.log.warn({ ...this.#about(), silentMs: nowMs - this.#heardAtMs }, "amqp client is silent");
				this.#socket.destroy();
				return;
			}
			if (nowMs - this.#spokeAtMs >= periodMs / 2) {
				this.#write(heartbeatFrame);
				this.#spokeAtMs = nowMs;
			}
		}, periodMs / 2);
	}
}

function decode(id: number, payload: Buffer): Fields {
	try {
		return decodeMethod(id, payload.subarray(4));
	} catch (error) {
		if (error instanceof RangeError || methodName(id) !== `method ${id >>> 16}.${id & 0xffff}`)
			throw new Refusal("SYNTAX_ERROR", `the arguments of ${methodName(id)} cannot be read`);
		throw new Refusal("NOT_IMPLEMENTED", `unknown ${methodName(id)}`);
	}
}
