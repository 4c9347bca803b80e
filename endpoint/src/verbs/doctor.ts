/** Says what keeps the endpoint from working, and what to do about each fault. */
import type { Check } from "../doctor/check.ts";
import { examine } from "../doctor/doctor.ts";
import { exitStatus } from "../service/exit-status.ts";
import { silentLogger } from "../service/logger.ts";
import type { Place } from "./place.ts";

const marks: Readonly<Record<Check["state"], string>> = { ok: "ok     ", warning: "warning", fault: "fault  " };

interface DoctorRequest {
	readonly json: boolean;
	readonly online: boolean;
	readonly canary: { readonly queue: string | undefined; readonly waitMs: number } | undefined;
}

export async function doctor(place: Place, { json, online, canary }: DoctorRequest): Promise<number> {
	const { directory, version, mainFile, managerProgram } = place;
	const stopping = new AbortController();
	for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stopping.abort());
	const checks = await examine({
		directory,
		version,
		mainFile,
		managerProgram,
		openScheduler: (config, at) => place.openScheduler(config, at, silentLogger),
		online,
		canary,
		tell: (sentence) => process.stderr.write(`canary: ${sentence}\n`),
		signal: stopping.signal,
	});
	const lines = checks.map(
		({ state, name, says, next }) => `${marks[state]} ${name}: ${says}${next ? `\n        ${next}` : ""}`,
	);
	process.stdout.write(json ? `${JSON.stringify({ checks })}\n` : `${lines.join("\n")}\n`);
	return checks.some(({ state }) => state === "fault") ? exitStatus.fault : exitStatus.ok;
}
