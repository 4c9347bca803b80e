/** Where somebody takes messages from and leaves them, with the password: parts of REST replies and of commands. */
import * as z from "zod";

export const consumePlace = z.object({ connection_url: z.string(), exchange: z.string(), queue: z.string() });

export const publishPlace = z.object({
	connection_url: z.string(),
	exchange: z.string(),
	queue: z.string(),
	queue_publish_kwargs: z.object({
		exchange: z.string(),
		routing_key: z.string(),
		mandatory: z.literal(true),
		properties: z.object({ delivery_mode: z.literal(2) }),
	}),
});
