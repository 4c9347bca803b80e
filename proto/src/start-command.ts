/**
 * What a manager endpoint is told when a process for somebody is wanted. All but `kwargs.errand` is the public
 * interface's, whose managers get the same without it.
 */
import * as z from "zod";
import { consumePlace, publishPlace } from "./broker-place.ts";

/** Of the user endpoint. Its process authenticates with these and registers under the id that `amqp_creds` names. */
const userEndpointKey = z.object({
	cloud_url: z.url(),
	client_id: z.uuid(),
	client_secret: z.string().min(1),
	token_endpoint: z.url(),
});

/** What everybody may say of somebody; the rest of an identity is kept, for mapping rules may name it. */
const identity = z.looseObject({ id: z.string().min(1) });

/**
 * Each asking makes a new key and ends the one before: a process with another `client_id` than the newest command's has
 * no access any more, and ends. A command is repeated until the user endpoint has checked in or failed.
 */
export const startUserEndpointCommand = z.object({
	command: z.literal("cmd_start_endpoint"),
	args: z.array(z.unknown()).max(0),
	kwargs: z.object({
		/** `uep.<manager's id>.<user endpoint's id>` */
		name: z.string().min(1),
		/** `user_endpoint_config` of the submit. */
		user_opts: z.record(z.string(), z.unknown()),
		/** What the submitter's client says about itself. */
		user_runtime: z.record(z.string(), z.unknown()),
		/** For the manager: to tell of a start that failed. They end when the user endpoint registers. */
		amqp_creds: z.object({
			endpoint_id: z.uuid(),
			task_queue_info: consumePlace,
			result_queue_info: publishPlace,
			heartbeat_queue_info: publishPlace,
		}),
		errand: userEndpointKey,
	}),
	globus_username: z.string(),
	globus_effective_identity: z.uuid(),
	globus_identity_set: z.array(identity).min(1),
});

export type StartUserEndpointCommand = z.infer<typeof startUserEndpointCommand>;
