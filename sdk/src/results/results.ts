/** Results by the stream; by polling besides, as long as the stream cannot be opened. */

import type { Feed, FeedListener } from "./feed.ts";
import { openPolling, type PolledCloud } from "./polling.ts";
import { openStream, type StreamOptions } from "./websocket.ts";

/** After this many attempts in a row the network is taken for one that lets no WebSocket through. */
const attemptsBeforePolling = 3;

export interface ResultsOptions extends Omit<StreamOptions, "onFlow"> {
	cloud: PolledCloud;
	pollingPace?: { firstMs: number; limitMs: number };
}

export function openResults(options: ResultsOptions): Feed {
	let polling: Feed | undefined;
	let reports = false;
	let hold = true;
	let closed = false;
	const { cloud, pollingPace, listener, log } = options;
	const stopPolling = (): void => {
		polling?.close();
		polling = undefined;
	};
	const told: FeedListener = {
		onResults: (results) => listener.onResults(results),
		onReport: (frame) => listener.onReport(frame),
		onReportsMissed: () => listener.onReportsMissed(),
		unfinished: () => listener.unfinished(),
		onRefused: (error) => {
			close();
			listener.onRefused(error);
		},
	};
	const close = (): void => {
		closed = true;
		stream.close();
		stopPolling();
	};
	const stream = openStream({
		...options,
		listener: told,
		onFlow: (flowing, failures) => {
			if (flowing) return stopPolling();
			if (closed || polling !== undefined || failures < attemptsBeforePolling) return;
			log.warn({ group: options.group, failures }, "the stream does not open: asking for results instead");
			polling = openPolling({
				cloud,
				listener: told,
				log,
				...(pollingPace === undefined ? {} : { pace: pollingPace }),
			});
			polling.tellReports(reports);
			polling.holdProcess(hold);
		},
	});
	return {
		tellReports: (tell) => {
			reports = tell;
			stream.tellReports(tell);
			polling?.tellReports(tell);
		},
		holdProcess: (on) => {
			hold = on;
			stream.holdProcess(on);
			polling?.holdProcess(on);
		},
		close,
	};
}
