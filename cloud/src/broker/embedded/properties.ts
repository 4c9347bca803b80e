/** The few message properties that a broker acts on, read from their place without decoding the rest. */
import { checkTable } from "./field-table.ts";
import { Refusal } from "./refusal.ts";

export interface MessageProperties {
	/** Delivery mode 2: survives a restart in a durable queue. */
	readonly persistent: boolean;
	/** Milliseconds after which nobody wants it any more. */
	readonly expirationMs: number | undefined;
	/** Who the publisher says it is; must be the connection's user. */
	readonly userId: string | undefined;
}

type Kind = "shortstr" | "table" | "octet" | "timestamp";

/** In the order of their flags, highest bit first. */
const layout: readonly (readonly [bit: number, kind: Kind, name: string])[] = [
	[15, "shortstr", "contentType"],
	[14, "shortstr", "contentEncoding"],
	[13, "table", "headers"],
	[12, "octet", "deliveryMode"],
	[11, "octet", "priority"],
	[10, "shortstr", "correlationId"],
	[9, "shortstr", "replyTo"],
	[8, "shortstr", "expiration"],
	[7, "shortstr", "messageId"],
	[6, "timestamp", "timestamp"],
	[5, "shortstr", "type"],
	[4, "shortstr", "userId"],
	[3, "shortstr", "appId"],
	[2, "shortstr", "clusterId"],
];

/** Bits without a property: one that nobody uses, and the one that announces more flags. */
const strangeFlags = 0b11;

/** Throws a Refusal when the bytes are not exactly what their flags say: who reads the message could not. */
export function readProperties(bytes: Buffer): MessageProperties {
	if (bytes.length < 2) throw new Refusal("FRAME_ERROR", "a content header without property flags");
	const flags = bytes.readUInt16BE(0);
	if ((flags & strangeFlags) !== 0) throw new Refusal("FRAME_ERROR", "property flags that stand for nothing");
	let deliveryMode = 1;
	let expiration: string | undefined;
	let userId: string | undefined;
	let at = 2;
	for (const [bit, kind, name] of layout) {
		if ((flags & (1 << bit)) === 0) continue;
		const start = at;
		at = skip(bytes, at, kind);
		if (at > bytes.length) throw new Refusal("FRAME_ERROR", `the property ${name} is cut short`);
		if (kind === "table") checkTable(bytes, start + 4, at);
		if (name === "deliveryMode") deliveryMode = bytes[start] as number;
		else if (name === "expiration") expiration = bytes.toString("utf8", start + 1, at);
		else if (name === "userId") userId = bytes.toString("utf8", start + 1, at);
	}
	if (at !== bytes.length) throw new Refusal("FRAME_ERROR", "a content header with more than its properties");
	return { persistent: deliveryMode === 2, expirationMs: parseExpiration(expiration), userId };
}

function skip(bytes: Buffer, at: number, kind: Kind): number {
	if (kind === "octet") return at + 1;
	if (kind === "timestamp") return at + 8;
	if (kind === "shortstr") return at + 1 + (bytes[at] ?? 0);
	return at + 4 + (at + 4 <= bytes.length ? bytes.readUInt32BE(at) : 0);
}

function parseExpiration(text: string | undefined): number | undefined {
	if (text === undefined) return undefined;
	if (!/^\d{1,10}$/.test(text))
		throw new Refusal("PRECONDITION_FAILED", `invalid expiration '${text.slice(0, 20)}': milliseconds as digits`);
	return Number(text);
}
