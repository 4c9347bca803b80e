/** Prints exactly what the scheduler would be given for a block, but for its secret. */
import { readConfig } from "../config/config.ts";
import { exitStatus } from "../service/exit-status.ts";
import { silentLogger } from "../service/logger.ts";
import { shownScript } from "../service/shown-script.ts";
import type { Place } from "./place.ts";

export async function script(place: Place, queue: string | undefined): Promise<number> {
	const { directory, managerProgram } = place;
	const config = readConfig(directory);
	const scheduler = place.openScheduler(config, directory, silentLogger);
	try {
		process.stdout.write(await shownScript({ directory, config, scheduler, managerProgram, queue }));
	} finally {
		scheduler.close();
	}
	return exitStatus.ok;
}
