/** The connection to the daemon: one gRPC stream, opened again with back-off for as long as the manager lives. */
import { hostname } from "node:os";
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import {
	type BlobChunk,
	BlobChunkSchema,
	type BlobReference,
	BlobReferenceSchema,
	type DaemonMessage,
	DaemonMessageSchema,
	fromBinary,
	type ManagerMessage,
	ManagerMessageSchema,
	toBinary,
} from "@errand/proto/wire";
import {
	type ChannelOptions,
	Client,
	type ClientDuplexStream,
	credentials,
	Metadata,
	type MethodDefinition,
	type ServiceError,
} from "@grpc/grpc-js";

import { type Probe, probeAddresses } from "./probe.ts";

export interface Logger {
	debug(fields: object, message: string): void;
	info(fields: object, message: string): void;
	warn(fields: object, message: string): void;
	error(fields: object, message: string): void;
}

/** The name in the daemon's certificate, whatever its host is called. */
export const linkName = "errand-endpoint";

/** A daemon that is restarted is back in a second or two; one that is not must not be hammered by a thousand nodes. */
const backOffFirstMs = 200;
const backOffLimitMs = 10_000;
/** A daemon that answers no ping for this long is gone, whatever its host's network says. */
const pingIntervalMs = 15_000;
const pingTimeoutMs = 15_000;

/** What was written last gets this long to leave, when the daemon does not end its side too. */
const lastWritesMs = 500;

/** An address behind a firewall that answers nothing must not keep the node from the next one. */
const probeLimitMs = 5000;

const channelOptions: ChannelOptions = {
	"grpc.ssl_target_name_override": linkName,
	"grpc.default_authority": linkName,
	"grpc.max_receive_message_length": -1,
	"grpc.max_send_message_length": -1,
	"grpc.keepalive_time_ms": pingIntervalMs,
	"grpc.keepalive_timeout_ms": pingTimeoutMs,
	"grpc.keepalive_permit_without_calls": 1,
	"grpc.enable_retries": 0,
	"grpc.use_local_subchannel_pool": 1,
};

export interface LinkListener {
	/** First message of every stream. */
	hello(): ManagerMessage;
	received(message: DaemonMessage): void;
	/** The stream takes more. */
	drained(): void;
	lost(): void;
}

export interface LinkSettings {
	addresses: readonly string[];
	certificate: string;
	blockToken: string;
	log: Logger;
}

type Life =
	| { is: "probing" }
	| { is: "connecting"; client: Client; call: Attach; address: string }
	| { is: "attached"; client: Client; call: Attach; address: string }
	| { is: "waiting"; timer: NodeJS.Timeout }
	| { is: "closed" };

type Attach = ClientDuplexStream<ManagerMessage, DaemonMessage>;

export class Link {
	readonly #settings: LinkSettings;
	readonly #listener: LinkListener;
	#life: Life = { is: "closed" };
	#attempts = 0;
	/** Of each address, why it did not lead to a daemon when it was tried last. */
	readonly #failures = new Map<string, string>();

	constructor(settings: LinkSettings, listener: LinkListener) {
		this.#settings = settings;
		this.#listener = listener;
	}

	open(): void {
		const { addresses } = this.#settings;
		const [only, ...others] = addresses;
		if (only !== undefined && others.length === 0) {
			this.#connect(only);
			return;
		}
		this.#move({ is: "probing" });
		void probeAddresses(addresses, probeLimitMs).then((probes) => this.#onProbed(probes));
	}

	/** Each address that was tried, with why it did not lead to a daemon; in words, for the end of a log. */
	get failures(): string {
		return [...this.#failures].map(([address, failure]) => `${address} (${failure})`).join(", ");
	}

	#onProbed(probes: readonly Probe[]): void {
		if (this.#life.is !== "probing") return;
		for (const { address, failure } of probes) {
			if (failure === undefined || this.#failures.get(address) === failure) continue;
			this.#failures.set(address, failure);
			this.#settings.log.warn({ address, failure }, "the daemon is not at this address");
		}
		const open = probes.filter(({ failure }) => failure === undefined);
		const chosen = open[this.#attempts % open.length];
		if (chosen === undefined) this.#wait("none of the daemon's addresses can be reached");
		else this.#connect(chosen.address);
	}

	#connect(address: string): void {
		const { certificate } = this.#settings;
		const secure = credentials.createSsl(Buffer.from(certificate)); // the only root, and the name must be `linkName`
		const client = new Client(address, secure, channelOptions);
		const attach = methods.attach;
		const call = client.makeBidiStreamRequest(
			attach.path,
			attach.requestSerialize,
			attach.responseDeserialize,
			this.#metadata(),
		);
		this.#move({ is: "connecting", client, call, address });
		call.on("data", (message: DaemonMessage) => this.#onMessage(call, message));
		call.on("drain", () => this.#listener.drained());
		call.on("error", (error: ServiceError) => this.#onEnd(call, `${error.code} ${error.details}`));
		call.on("end", () => this.#onEnd(call, "the daemon ended the stream"));
		call.write(this.#listener.hello());
	}

	get attached(): boolean {
		return this.#life.is === "attached";
	}

	/** False: full until `drained`. Nothing is written while no daemon is attached. */
	write(message: ManagerMessage): boolean {
		return this.#life.is === "attached" && this.#life.call.write(message);
	}

	/** Ends the stream after what was written. */
	async close(): Promise<void> {
		const life = this.#life;
		this.#move({ is: "closed" });
		if (life.is === "waiting") clearTimeout(life.timer);
		if (life.is !== "connecting" && life.is !== "attached") return;
		await new Promise<void>((resolve) => {
			const timer = setTimeout(resolve, lastWritesMs);
			life.call.once("end", resolve).once("error", () => resolve());
			life.call.once("close", () => clearTimeout(timer));
			life.call.end();
		});
		life.client.close();
	}

	/** Rejects with a ServiceError. */
	async *getBlob(reference: BlobReference): AsyncGenerator<Uint8Array> {
		const { path, requestSerialize, responseDeserialize } = methods.getBlob;
		const call = this.#client.makeServerStreamRequest(
			path,
			requestSerialize,
			responseDeserialize,
			reference,
			this.#metadata(),
		);
		for await (const { data } of call as AsyncIterable<BlobChunk>) yield data;
	}

	/** Resolves when the daemon says that the blob is durable. */
	async putBlob(chunks: AsyncIterable<BlobChunk>): Promise<BlobReference> {
		const { path, requestSerialize, responseDeserialize } = methods.putBlob;
		const { promise, resolve, reject } = Promise.withResolvers<BlobReference>();
		const call = this.#client.makeClientStreamRequest(
			path,
			requestSerialize,
			responseDeserialize,
			this.#metadata(),
			(error, reference) => (error === null && reference !== undefined ? resolve(reference) : reject(error)),
		);
		call.on("error", reject);
		for await (const chunk of chunks)
			if (!call.write(chunk)) await Promise.race([new Promise((resume) => call.once("drain", resume)), promise]);
		call.end();
		return promise;
	}

	get #client(): Client {
		if (this.#life.is === "attached") return this.#life.client;
		throw new Error("no daemon is attached");
	}

	#metadata(): Metadata {
		const metadata = new Metadata();
		metadata.set("authorization", `Bearer ${this.#settings.blockToken}`);
		return metadata;
	}

	#onMessage(call: Attach, message: DaemonMessage): void {
		if (this.#life.is === "connecting" && this.#life.call === call && message.message.case === "welcome") {
			this.#attempts = 0;
			this.#move({ ...this.#life, is: "attached" });
			this.#settings.log.info({ host: hostname(), address: this.#life.address }, "attached to the daemon");
		}
		if (this.#life.is === "attached" && this.#life.call === call) this.#listener.received(message);
	}

	#onEnd(call: Attach, reason: string): void {
		const life = this.#life;
		if ((life.is !== "connecting" && life.is !== "attached") || life.call !== call) return;
		call.cancel();
		life.client.close();
		this.#failures.set(life.address, reason);
		this.#wait(reason, life.address);
		if (life.is === "attached") this.#listener.lost();
	}

	#wait(reason: string, address?: string): void {
		const limitMs = Math.min(backOffLimitMs, backOffFirstMs * 2 ** this.#attempts++);
		const delayMs = limitMs * (0.5 + Math.random() / 2);
		this.#move({ is: "waiting", timer: setTimeout(() => this.open(), delayMs) });
		this.#settings.log.warn({ reason, address, delayMs: Math.round(delayMs) }, "waiting for the daemon");
	}

	#move(next: Life): void {
		this.#life = next;
	}
}

const method = <I extends DescMessage, O extends DescMessage>(
	name: string,
	input: I,
	output: O,
	streams: { requestStream: boolean; responseStream: boolean },
): MethodDefinition<MessageShape<I>, MessageShape<O>> => ({
	path: `/errand.v1.ManagerLink/${name}`,
	...streams,
	requestSerialize: (message) => toBuffer(toBinary(input, message)),
	requestDeserialize: (bytes) => fromBinary(input, bytes),
	responseSerialize: (message) => toBuffer(toBinary(output, message)),
	responseDeserialize: (bytes) => fromBinary(output, bytes),
});

const toBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The service as grpc-js wants it told; also what a scripted daemon serves. */
export const methods = {
	attach: method("Attach", ManagerMessageSchema, DaemonMessageSchema, { requestStream: true, responseStream: true }),
	getBlob: method("GetBlob", BlobReferenceSchema, BlobChunkSchema, { requestStream: false, responseStream: true }),
	putBlob: method("PutBlob", BlobChunkSchema, BlobReferenceSchema, { requestStream: true, responseStream: false }),
};
