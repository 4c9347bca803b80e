/** Runs something that is opened and stopped until a signal, the cloud, or a failure that it cannot survive ends it. */
import { exitStatus, exitStatusOf } from "./exit-status.ts";
import type { Logger } from "./logger.ts";

/** What can be served; a daemon is one. */
export interface Served {
	/** Resolves when it must end; with an error when it cannot go on. */
	readonly ending: Promise<Error | "idle" | undefined>;
	stop(): Promise<void>;
}

export interface ServeOptions<S extends Served> {
	/** The signal ends a start that waits. */
	readonly open: (signal: AbortSignal) => Promise<S>;
	readonly log: Logger;
	/** It is open. */
	readonly onRunning?: () => void;
	/** It has nothing to do and ends. */
	readonly onIdle?: () => void;
}

/** Resolves to the exit status. Rejects when it could not be opened. */
export async function serve<S extends Served>({ open, log, onRunning, onIdle }: ServeOptions<S>): Promise<number> {
	const asked = Promise.withResolvers<undefined>();
	const stopping = new AbortController();
	const starting = open(stopping.signal);
	let signals = 0;
	for (const signal of ["SIGTERM", "SIGINT"] as const)
		process.on(signal, () => {
			log.info({ signal }, "asked to stop");
			if (++signals > 1) process.exit(exitStatus.internal);
			stopping.abort(new Error(`stopped by ${signal}`));
			asked.resolve(undefined);
		});
	try {
		const served = await starting;
		onRunning?.();
		const how = await Promise.race([served.ending, asked.promise]);
		if (how instanceof Error) log.error({ err: how }, "the endpoint cannot go on");
		if (how === "idle") onIdle?.();
		await served.stop();
		if (!(how instanceof Error)) return exitStatus.ok;
		process.stderr.write(`errand-endpoint: ${how.message}\n`);
		return exitStatusOf(how);
	} catch (error) {
		if (signals > 0) return exitStatus.ok;
		throw error;
	}
}
