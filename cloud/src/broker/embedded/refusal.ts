/** Reply codes of AMQP 0-9-1 that this broker uses, and what each of them ends. */
const replies = {
	CONNECTION_FORCED: { code: 320, ends: "connection" },
	ACCESS_REFUSED: { code: 403, ends: "channel" },
	NOT_FOUND: { code: 404, ends: "channel" },
	RESOURCE_LOCKED: { code: 405, ends: "channel" },
	PRECONDITION_FAILED: { code: 406, ends: "channel" },
	FRAME_ERROR: { code: 501, ends: "connection" },
	SYNTAX_ERROR: { code: 502, ends: "connection" },
	COMMAND_INVALID: { code: 503, ends: "connection" },
	CHANNEL_ERROR: { code: 504, ends: "connection" },
	UNEXPECTED_FRAME: { code: 505, ends: "connection" },
	RESOURCE_ERROR: { code: 506, ends: "connection" },
	NOT_ALLOWED: { code: 530, ends: "connection" },
	NOT_IMPLEMENTED: { code: 540, ends: "connection" },
	INTERNAL_ERROR: { code: 541, ends: "connection" },
} as const satisfies Record<string, { code: number; ends: "channel" | "connection" }>;

export type ReplyName = keyof typeof replies;

/** What a client asked for is refused; the client reads it as the close of its channel or connection. */
export class Refusal extends Error {
	override readonly name = "Refusal";
	readonly reply: ReplyName;
	readonly ends: "channel" | "connection";

	constructor(reply: ReplyName, message: string, options: { ends?: "connection"; cause?: unknown } = {}) {
		super(message, options.cause === undefined ? undefined : { cause: options.cause });
		this.reply = reply;
		this.ends = options.ends ?? replies[reply].ends;
	}

	get code(): number {
		return replies[this.reply].code;
	}

	/** As it goes over the wire: the reply's name first, as other brokers do; a short string has at most 255 bytes. */
	get replyText(): string {
		let text = `${this.reply} - ${this.message}`;
		while (Buffer.byteLength(text) > 255) text = text.slice(0, -8);
		return text;
	}
}
