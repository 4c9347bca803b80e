import type { Message, MessageKeeper } from "./message.ts";
import type { MessageQueue } from "./message-queue.ts";
import { encodeMessage } from "./record.ts";

/** Written before the disk is waited for: what a crash can leave twice, and what is in memory meanwhile. */
const stepBytes = 8 * 1024 * 1024;

/**
 * Moves the wanted messages of the oldest segment to the newest, then drops it. `onRecord` says which queues outlive a
 * restart. Rejects when the disk refuses; what was moved until then stays moved.
 */
export async function compactOldest(keeper: MessageKeeper, onRecord: (queue: MessageQueue) => boolean): Promise<void> {
	const { log, reader } = keeper;
	const { oldest } = log;
	if (!oldest) return;
	while (oldest.live.size > 0) {
		let movedBytes = 0;
		for (const message of oldest.live as Set<Message>) {
			const record = encodeMessage({
				id: message.id,
				queueIds: message.persistent ? message.holders.filter(onRecord).map((queue) => queue.id) : [],
				exchange: message.exchange.toString(),
				routingKey: message.routingKey.toString(),
				expiresAtMs: message.expiresAtMs,
				content: message.content(),
			});
			log.append(record, message);
			movedBytes += record.lengthBytes;
			if (movedBytes >= stepBytes) break;
		}
		await log.flushed();
	}
	reader.forget(oldest);
	await log.dropOldest();
}
