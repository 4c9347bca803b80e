import type { Fields } from "./codec.ts";
import type { Content } from "./frames.ts";
import type { Refusal } from "./refusal.ts";
import type { User } from "./users.ts";
import type { VirtualHost } from "./virtual-host.ts";

/** What a channel needs of its connection. */
export interface ChannelHome {
	readonly user: User;
	readonly host: VirtualHost;
	readonly cancelNotify: boolean;
	/** Announced by headers and not complete, on all channels. */
	incomingBytes: number;
	/** Received of messages that are not complete, on all connections of the broker. */
	readonly unfinished: { bytes: number; readonly limitBytes: number };
	/** On all channels. */
	consumers: number;
	/** False while more waits for the socket than is good. */
	readonly writable: boolean;
	send(method: number, channel: number, fields: Fields): void;
	/** Something of ours broke while it was served. */
	fail(refusal: Refusal): void;
	sendContent(method: Buffer | { id: number; fields: Fields }, channel: number, content: Content): void;
}
