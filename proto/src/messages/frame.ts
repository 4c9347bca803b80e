/**
 * The AMQP messages of the public interface: a version byte, then compact JSON `{"message_type", "data"}`.
 * Unknown fields are ignored; a missing required field, an unknown type or another version is refused.
 */
import * as z from "zod";

const VERSION = 0x01;
const uuid = z.uuid().transform((id) => id.toLowerCase());
const transition = z.object({ timestamp: z.number(), state: z.string(), actor: z.string() });
/** Real messages have a handful. Counted before they are looked at: each that is wrong would cost memory. */
const transitions = z.array(z.unknown()).max(1_000).pipe(z.array(transition));
/** Of what is wrong with a message that many are told. */
const issuesTold = 5;
const foundCharacters = 100;

export const taskMessage = z.object({
	task_id: uuid,
	container_id: uuid.nullish(),
	container: z.unknown().optional(),
	task_buffer: z.string(),
});

export const resultMessage = z.object({
	task_id: uuid,
	data: z.string(),
	details: z.record(z.string(), z.unknown()).nullish(),
	error_details: z.object({ code: z.string(), user_message: z.string() }).nullish(),
	task_statuses: transitions.nullish(),
});

export const statusReportMessage = z.object({
	endpoint_id: uuid,
	global_state: z.record(z.string(), z.unknown()),
	/** Nobody reads them: results and reports say what becomes of tasks. */
	task_statuses: z.record(z.string(), z.unknown()),
});

const schemas = { task: taskMessage, result: resultMessage, ep_status_report: statusReportMessage };

export type MessageType = keyof typeof schemas;
export type Message<Type extends MessageType> = z.output<(typeof schemas)[Type]>;
/** What may be given to {@link encodeMessage}. */
export type MessageInput<Type extends MessageType> = z.input<(typeof schemas)[Type]>;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Inverse of {@link decodeMessage}. */
export function encodeMessage<Type extends MessageType>(type: Type, data: MessageInput<Type>): Uint8Array {
	return encoder.encode(`\u0001${JSON.stringify({ message_type: type, data })}`);
}

/** Inverse of {@link encodeMessage}. Throws a RangeError that says what is wrong with the bytes. */
export function decodeMessage<Type extends MessageType>(type: Type, bytes: Uint8Array): Message<Type> {
	if (bytes[0] !== VERSION) throw new RangeError(`message: version byte ${bytes[0] ?? "missing"}, expected ${VERSION}`);
	let envelope: unknown;
	try {
		envelope = JSON.parse(decoder.decode(bytes.subarray(1)));
	} catch (cause) {
		throw new RangeError("message: not JSON in UTF-8", { cause });
	}
	const found = (envelope as { message_type?: unknown } | null)?.message_type;
	if (found !== type) throw new RangeError(`message: type ${shown(found)}, expected "${type}"`);
	const parsed = schemas[type].safeParse((envelope as { data?: unknown }).data);
	if (!parsed.success) {
		const issues = parsed.error.issues.slice(0, issuesTold);
		throw new RangeError(`message: ${type}: ${z.prettifyError({ ...parsed.error, issues })}`);
	}
	return parsed.data as Message<Type>;
}

/** Foreign, and for a log line. */
const shown = (value: unknown): string =>
	typeof value === "object" && value !== null
		? "of no text"
		: (JSON.stringify(value) ?? "missing").slice(0, foundCharacters);
