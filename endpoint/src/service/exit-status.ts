/** What the daemon's exit status means; numbers of sysexits.h where it has one. */
import { Fault } from "@errand/proto";
import { ConfigFault } from "../config/config.ts";

export const exitStatus = {
	ok: 0,
	/** The doctor found a fault. */
	fault: 1,
	/** The command line is wrong. */
	usage: 64,
	/** Something failed that should not. */
	internal: 70,
	/** The journal or another file cannot be written. */
	storage: 74,
	/** Another daemon serves this endpoint: try again when it has ended. */
	leaseHeld: 75,
	/** The cloud does not accept this endpoint's key. */
	forbidden: 77,
	/** config.yaml or credentials.json is wrong. */
	configuration: 78,
} as const;

export function exitStatusOf(error: unknown): number {
	if (error instanceof ConfigFault) return exitStatus.configuration;
	if (error instanceof Fault) {
		if (error.code === "LEASE_HELD") return exitStatus.leaseHeld;
		if (error.httpStatus === 401 || error.httpStatus === 403 || error.httpStatus === 404) return exitStatus.forbidden;
		return exitStatus.internal;
	}
	if (error instanceof Error && /credentials\.json/.test(error.message)) return exitStatus.configuration;
	const { code } = error as NodeJS.ErrnoException;
	return typeof code === "string" && /^E(NOSPC|IO|ACCES|ROFS|DQUOT)$/.test(code)
		? exitStatus.storage
		: exitStatus.internal;
}
