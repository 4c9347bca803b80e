/** A task's stdout and stderr as they come: from the stream at once, from what the cloud keeps where that has a gap. */
import type { TaskGroupId, TaskId } from "@errand/proto";
import * as z from "zod";
import type { Client } from "../src/index.ts";
import type { ReportFrame } from "../src/results/feed.ts";
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

type OutputFrame = Extract<ReportFrame, { type: "output" }>;

/** Where one of the two streams has been read to. */
interface Reader {
	stream: StreamName;
	offset: number;
	done: boolean;
}

/** What is kept is asked for this often when the stream says nothing: less and less, and at once when it says something. */
const pace = { firstMs: 30, growth: 1.3, limitMs: 500 };

/** Ends when the task has ended and all is read; at once with what there is unless `follow` names its group. */
export async function* followOutput(
	context: Pick<Context, "pause">,
	client: Client,
	task: TaskId,
	options: { follow?: TaskGroupId; streams?: readonly StreamName[] },
): AsyncGenerator<OutputLine> {
	const readers = (options.streams ?? (["stdout", "stderr"] as const)).map(
		(stream): Reader => ({ stream, offset: 0, done: false }),
	);
	const live = options.follow === undefined ? undefined : await openLive(client, options.follow, task);
	try {
		for (let pauseMs = pace.firstMs; ; ) {
			for (const reader of readers)
				while (!reader.done) {
					const part = await client.taskOutput(task, reader.stream, reader.offset);
					reader.offset = part.next_offset_bytes;
					reader.done = part.data === "" && (part.ended || live === undefined);
					if (part.data === "") break;
					pauseMs = pace.firstMs;
					yield { type: "output", task_id: task, stream: reader.stream, data: part.data, truncated: part.truncated };
				}
			if (live === undefined || readers.every((reader) => reader.done)) return;
			for (let whole = true; whole; ) {
				if (!(await live.wait((ms, rung) => context.pause(ms, rung), pauseMs))) {
					pauseMs = Math.min(pauseMs * pace.growth, pace.limitMs);
					break;
				}
				pauseMs = pace.firstMs;
				const told = live.take();
				whole = told.whole;
				for (const frame of told.frames) {
					const reader = readers.find(({ stream }) => stream === frame.stream);
					if (reader === undefined || frame.offset_bytes < reader.offset) continue;
					if (frame.offset_bytes > reader.offset) {
						whole = false;
						break;
					}
					reader.offset += frame.size_bytes;
					const { data, truncated } = frame;
					yield { type: "output", task_id: task, stream: reader.stream, data, truncated };
				}
			}
		}
	} finally {
		live?.close();
	}
}

/** Frames that wait for a slow reader; then they are forgotten, and what is kept is asked for. */
const framesLimit = 1_000;

interface Live {
	/** True when something was told, false when `ms` were over first. */
	wait(pause: (ms: number, rung: Promise<void>) => Promise<void>, ms: number): Promise<boolean>;
	/** What was told since the last call. `whole`: that is all there is to know. */
	take(): { frames: OutputFrame[]; whole: boolean };
	close(): void;
}

/** What the stream tells about one task. A stream that cannot be opened tells nothing. */
async function openLive(client: Client, group: TaskGroupId, task: TaskId): Promise<Live> {
	const { openStream } = await import("../src/results/websocket.ts");
	let frames: OutputFrame[] = [];
	let whole = true;
	let rung = false;
	let bell = Promise.withResolvers<void>();
	const ring = (): void => {
		rung = true;
		bell.resolve();
	};
	const look = (): void => {
		whole = false;
		ring();
	};
	const feed = openStream({
		cloudUrl: client.cloudUrl,
		accessToken: (how) => client.accessToken(how),
		group,
		log: client.log,
		listener: {
			onResults: (results) => {
				if (results.some((result) => result.task_id === task)) look();
			},
			onReport: (frame) => {
				if (frame.task_id !== task || frame.type !== "output") return;
				frames.push(frame);
				if (frames.length <= framesLimit) return ring();
				frames = [];
				look();
			},
			onReportsMissed: look,
			onRefused: look,
			unfinished: () => [task],
		},
	});
	feed.tellReports(true);
	return {
		async wait(pause, ms) {
			if (!rung) await pause(ms, bell.promise);
			return rung;
		},
		take() {
			const told = { frames, whole };
			frames = [];
			whole = true;
			rung = false;
			bell = Promise.withResolvers<void>();
			return told;
		},
		close: () => feed.close(),
	};
}
