/** What a submit is told of the versions at both ends, function by function. */
import type { FunctionId } from "@errand/proto";
import type { submission } from "@errand/proto/rest";
import { Runtime } from "@errand/proto/wire";
import type * as z from "zod";
import type { EndpointRow } from "../store/endpoints.ts";
import type { CachedFunction } from "../store/function-cache.ts";
import { isVersionBound, skewSentence, type Versions, versionsOfClient, versionsOfWorker } from "../version-skew.ts";

/**
 * Sentences by function; one whose tasks run anywhere, or of whose versions nothing is known, is left out. The tasks of one
 * request are written by one client, so the first of each function stands for all.
 */
export function skewsOf(
	endpoint: EndpointRow,
	input: Pick<z.output<typeof submission>, "tasks" | "user_runtime">,
	functions: ReadonlyMap<FunctionId, Pick<CachedFunction, "row">>,
): ReadonlyMap<FunctionId, string> {
	const skews = new Map<FunctionId, string>();
	const workers = workersOf(endpoint);
	if (workers.length === 0) return skews;
	const client = versionsOfClient(input.user_runtime);
	for (const [id, texts] of Object.entries(input.tasks)) {
		const row = functions.get(id.toLowerCase() as FunctionId)?.row;
		if (row?.runtime !== Runtime.PYTHON) continue;
		const { python_version, sdk_version } = row.metadata;
		const author = versionsOfClient({ python_version, globus_compute_sdk_version: sdk_version });
		const writers = [
			...(isVersionBound(row.code) ? [author.python === undefined ? client : author] : []),
			...(isVersionBound(texts[0] ?? "") ? [client] : []),
		];
		const sentence = writers.map((writer) => skewSentence(writer, workers, endpoint.name)).find(Boolean);
		if (sentence !== undefined) skews.set(row.id, sentence);
	}
	return skews;
}

/** As the last heartbeat tells; of an endpoint of the public interface only what it registered with is known. */
function workersOf({ details, registration }: EndpointRow): Versions[] {
	const told: unknown = details.worker_runtimes;
	if (Array.isArray(told))
		return told.flatMap((text) => (typeof text === "string" ? (versionsOfWorker(text) ?? []) : []));
	const metadata = (registration.metadata ?? {}) as { python_version?: unknown };
	const { python } = versionsOfClient({ python_version: metadata.python_version });
	return python === undefined ? [] : [{ python, dill: undefined, sdk: undefined }];
}
