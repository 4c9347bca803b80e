/** A task's stdout and stderr as they come, from what the cloud keeps: nothing is lost when the reader is slow. */
import type { TaskId } from "@errand/proto";
import * as z from "zod";
import type { Client } from "../src/index.ts";
import type { Context } from "./context.ts";

export const outputLine = z.object({
	type: z.literal("output"),
	task_id: z.uuid(),
	stream: z.enum(["stdout", "stderr"]),
	data: z.string(),
	/** What came after the limit was not kept. */
	truncated: z.boolean(),
});
export type OutputLine = z.infer<typeof outputLine>;

export type StreamName = OutputLine["stream"];

/** Ends when the task has ended and all is read; at once with what there is unless `follow`. */
export async function* followOutput(
	context: Pick<Context, "pause">,
	client: Client,
	task: TaskId,
	options: { follow: boolean; streams?: readonly StreamName[] },
): AsyncGenerator<OutputLine> {
	const readers = (options.streams ?? (["stdout", "stderr"] as const)).map((stream) => ({
		stream,
		offset: 0,
		done: false,
	}));
	let pauseMs = 30;
	for (;;) {
		for (const reader of readers) {
			while (!reader.done) {
				const part = await client.taskOutput(task, reader.stream, reader.offset);
				reader.offset = part.next_offset_bytes;
				if (part.data !== "") {
					pauseMs = 30;
					yield { type: "output", task_id: task, stream: reader.stream, data: part.data, truncated: part.truncated };
				}
				reader.done = part.data === "" && (part.ended || !options.follow);
				if (part.data === "") break;
			}
		}
		if (readers.every((reader) => reader.done)) return;
		await context.pause(pauseMs);
		pauseMs = Math.min(pauseMs * 1.3, 500);
	}
}
