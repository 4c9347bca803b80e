import * as z from "zod";

/** `failed`: the last start, and why is in `start_error`. */
export const userEndpointStatusWord = z.enum(["online", "offline", "failed"]);

/**
 * One item of `GET /v1/endpoints/{id}/user-endpoints`: what a manager runs for one account, configuration and runtime.
 * The endpoint's owner and administrators see all, everybody else their own.
 */
export const userEndpointSummary = z.object({
	id: z.uuid(),
	owner: z.object({ id: z.uuid(), username: z.string() }),
	config: z.record(z.string(), z.unknown()),
	runtime: z.record(z.string(), z.unknown()),
	status: userEndpointStatusWord,
	start_error: z.string().nullable(),
	last_seen_at: z.iso.datetime().nullable(),
	unfinished_tasks: z.int(),
});
export type UserEndpointSummary = z.infer<typeof userEndpointSummary>;
