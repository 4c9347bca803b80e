/** What a status report says of a start that failed, in its `global_state`. All but `transient` is the public interface's. */
import * as z from "zod";

export const startError = z.object({
	/** For people. */
	error: z.string(),
	/**
	 * Our managers': the reason lies in neither who asks nor what is asked for, and may pass. Tasks that were accepted wait
	 * for another start. What is neither true nor false counts as false, so that the reason is not lost with it.
	 */
	transient: z.boolean().default(false).catch(false),
});

export type StartError = z.output<typeof startError>;
