/**
 * Commands to an endpoint: plain JSON on `<endpoint>.commands`, `content_type: application/json`, `timestamp` set
 * (Unix seconds). The envelope is the public interface's; our daemon understands the commands below.
 */
import * as z from "zod";
import { startUserEndpointCommand } from "./start-command.ts";

const ids = z.array(z.uuid());

export const endpointCommand = z.discriminatedUnion("command", [
	/** Stop these tasks wherever they are: queued, dispatched or running. Answered by results with `cancelled` set. */
	z.object({ command: z.literal("cmd_cancel_tasks"), kwargs: z.object({ task_ids: ids, grace_ms: z.int().min(0) }) }),
	/** Finish nothing new and end the daemon. */
	z.object({ command: z.literal("cmd_stop"), kwargs: z.object({ reason: z.string() }) }),
	/** To managers only. */
	startUserEndpointCommand,
]);

export type EndpointCommand = z.infer<typeof endpointCommand>;
