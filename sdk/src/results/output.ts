/** A task's output as lines: what REST has kept, then what the stream tells, filled up from REST where there is a gap. */
import type { TaskId } from "@errand/proto";
import { pause } from "../back-off.ts";
import type { TaskOutput } from "../client.ts";
import type { OutputStream } from "../future.ts";
import type { ReportFrame } from "./feed.ts";
import type { Mailbox } from "./mailbox.ts";

/** What a reader of output or progress is told. `missed`: some frames were not told. */
export type Told = ReportFrame | "missed" | "ended";

export interface OutputSource {
	taskOutput(taskId: string, stream: OutputStream, offsetBytes: number): Promise<TaskOutput>;
}

/** The last of it when the endpoint stopped carrying: the cut is marked. */
const cutMark = "[output cut: the task wrote more than is carried]";

/** After the result, output that is still on its way is waited for this often, this long. */
const lateOutput = { attempts: 20, waitMs: 100 };

export async function* readLines(
	source: OutputSource,
	taskId: TaskId,
	stream: OutputStream,
	mailbox: Mailbox<Told>,
): AsyncGenerator<string, void> {
	let offset = 0;
	let partial = "";
	let truncated = false;
	let late = 0;
	const lines = (data: string): string[] => {
		const parts = (partial + data).split("\n");
		partial = parts.pop() ?? "";
		return parts;
	};
	for (let behind = true, ended = false; ; ) {
		if (behind) {
			const page = await source.taskOutput(taskId, stream, offset);
			truncated ||= page.truncated;
			if (page.next_offset_bytes > offset) {
				offset = page.next_offset_bytes;
				yield* lines(page.data);
				continue;
			}
			if (page.ended) break;
			behind = false;
			if (ended) {
				if (++late > lateOutput.attempts) break;
				await pause(lateOutput.waitMs);
				behind = true;
				continue;
			}
		}
		for (const told of await mailbox.take()) {
			if (told === "ended") ended = true;
			if (told === "ended" || told === "missed") behind = true;
			else if (told.type === "output" && told.stream === stream && !behind) {
				if (told.offset_bytes > offset) behind = true;
				else if (told.offset_bytes === offset) {
					offset += told.size_bytes;
					truncated ||= told.truncated;
					yield* lines(told.data);
				}
			}
		}
	}
	if (partial !== "") yield partial;
	if (truncated) yield cutMark;
}
