/**
 * `GET /v1/stream` (WebSocket): JSON text frames. Authentication: the `Authorization` header, or, where a browser
 * cannot set one, the subprotocols `errand.v1` and `bearer.<token>`; the server answers with `errand.v1`.
 *
 * The client subscribes to task groups. Results carry a cursor that grows; after a lost connection the client
 * subscribes again with the last cursor it has handled and gets what followed, at least once. Everything else
 * (states, output, progress) is told as it happens and can be read from REST afterwards.
 * Back-pressure: the client grants `credit` result frames and renews it; the server holds at most that much for it.
 */
import * as z from "zod";
import { execution, failure, taskState } from "./task.ts";

export const streamKinds = ["state", "output", "progress"] as const;

export const streamRequest = z.discriminatedUnion("type", [
	z.object({
		type: z.literal("subscribe"),
		group: z.uuid(),
		/** The last cursor handled; "0" for everything. */
		cursor: z
			.string()
			.regex(/^\d{1,19}$/)
			.default("0"),
		/** Besides results. */
		also: z.array(z.enum(streamKinds)).default([]),
	}),
	z.object({ type: z.literal("unsubscribe"), group: z.uuid() }),
	/** The client has handled this many result frames: the server may send as many more. A connection starts with 64. */
	z.object({ type: z.literal("credit"), frames: z.int().min(1).max(10_000) }),
	/** A fresh token for a connection that outlives its first. */
	z.object({ type: z.literal("token"), access_token: z.string() }),
]);
export type StreamRequest = z.input<typeof streamRequest>;

export const streamInitialCredit = 64;

export const streamResult = z.object({
	task_id: z.uuid(),
	state: z.enum(["success", "failed", "cancelled"]),
	/** One serialized buffer. */
	value: z.string().optional(),
	value_reference: z.object({ sha256: z.string(), size_bytes: z.int() }).optional(),
	failure: failure.optional(),
	execution: execution.optional(),
	stdout_bytes: z.int(),
	stderr_bytes: z.int(),
});
export type StreamResult = z.infer<typeof streamResult>;

export const streamFrame = z.discriminatedUnion("type", [
	z.object({ type: z.literal("subscribed"), group: z.uuid(), cursor: z.string() }),
	/** Costs one credit. `cursor` is that of the last result in it. */
	z.object({ type: z.literal("results"), group: z.uuid(), cursor: z.string(), results: z.array(streamResult) }),
	z.object({
		type: z.literal("state"),
		group: z.uuid(),
		task_id: z.uuid(),
		state: taskState,
		at: z.iso.datetime(),
		reason: z.string(),
	}),
	z.object({
		type: z.literal("output"),
		group: z.uuid(),
		task_id: z.uuid(),
		stream: z.enum(["stdout", "stderr"]),
		offset_bytes: z.int(),
		/** Text: whole UTF-8 characters, other bytes replaced. */
		data: z.string(),
		/** Bytes that `data` stands for. */
		size_bytes: z.int(),
		truncated: z.boolean(),
	}),
	z.object({
		type: z.literal("progress"),
		group: z.uuid(),
		task_id: z.uuid(),
		fraction: z.number(),
		message: z.string(),
	}),
	/** Frames other than results were dropped because the client reads too slowly; REST has them. */
	z.object({ type: z.literal("dropped"), group: z.uuid(), frames: z.int() }),
	/** Something about one request of the client; the connection goes on. `problem` is the REST error body. */
	z.object({ type: z.literal("error"), group: z.uuid().optional(), code: z.string(), detail: z.string() }),
	/** The token ends in this many seconds: send `token`, or the connection is closed with 4401 then. */
	z.object({ type: z.literal("token-expiring"), expires_in_s: z.number() }),
]);
export type StreamFrame = z.infer<typeof streamFrame>;

/** WebSocket close codes: the token ended, nothing was heard, the service stops (connect again). */
export const streamClose = { unauthenticated: 4401, forbidden: 4403, tooSlow: 4408, restarting: 1012 } as const;
