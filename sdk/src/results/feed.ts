/**
 * The port to whatever brings a task group's results: the stream (`websocket.ts`), or polling where no WebSocket gets
 * through (`polling.ts`). Results come at least once, each task's in any number of copies and in any order.
 */
import type { TaskId } from "@errand/proto";
import type { StreamFrame, StreamResult } from "@errand/proto/rest";

export type ReportFrame = Extract<StreamFrame, { type: "state" | "output" | "progress" }>;

export interface FeedListener {
	onResults(results: readonly StreamResult[]): void;
	/** Only while {@link Feed.tellReports} asks for them, and not surely each. */
	onReport(frame: ReportFrame): void;
	/** Some reports were left out, or may have been while the connection was lost: ask REST. */
	onReportsMissed(): void;
	/** The cloud refuses to tell about this group: nothing more will come. */
	onRefused(error: Error): void;
	/** Tasks whose results have not come: what polling asks for. */
	unfinished(): Iterable<TaskId>;
}

export interface Feed {
	/** Whether states, output and progress are told besides results. */
	tellReports(tell: boolean): void;
	/** Whether this feed alone keeps the process alive. */
	holdProcess(hold: boolean): void;
	/** Nothing is told any more. May be repeated. */
	close(): void;
}
