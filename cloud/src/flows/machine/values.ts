/** A run's state with what states make put into it. */
import {
	FlowFailure,
	flowStateLimitBytes,
	type Json,
	type ReferencePath,
	sizeObstacle,
	writePath,
} from "@errand/proto/flow";

/** Throws a FlowFailure when the result has no place there, or the state becomes too large. */
export function withResult(document: Json, path: ReferencePath | null, result: Json): Json {
	if (path === null) return document;
	const written = writePath(path, document, result);
	const obstacle = sizeObstacle(written, flowStateLimitBytes);
	if (obstacle === undefined) return written;
	throw new FlowFailure(
		"States.DataLimitExceeded",
		`the run's state would have ${obstacle}: keep data in files, and their paths in the state`,
	);
}
