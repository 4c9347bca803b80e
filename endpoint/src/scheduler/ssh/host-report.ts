/** What a host answers: text in, facts out. */
import type { JobStatus } from "../scheduler.ts";

/** Undefined: the answer is cut short or not ours. */
export function parseReport(stdout: string): ReadonlyMap<string, JobStatus> | undefined {
	const lines = stdout.split("\n");
	if (!lines.includes("errand done")) return undefined;
	const blocks = new Map<string, JobStatus>();
	for (const line of lines) {
		const [, id, state, how = ""] = /^errand block (\S+) (\w+) ?(.*)$/.exec(line) ?? [];
		if (id !== undefined && state !== undefined) blocks.set(id, statusOf(state, how));
	}
	return blocks;
}

/** Why a host refuses, where it says so. */
export const faultIn = (stdout: string): string | undefined => /^errand fault (.*)$/m.exec(stdout)?.[1];

function statusOf(state: string, how: string): JobStatus {
	if (state === "running" || state === "starting") return { state, reason: "" };
	if (state !== "ended") return { state: "unknown", reason: `the host says "${state}"` };
	const [word = "", code = word] = how.split(" ");
	const exitCode = /^\d+$/.test(code) ? { exitCode: Number(code) } : {};
	if (word === "cancelled") return { state, end: "cancelled", reason: "cancelled", ...exitCode };
	if (word === "timeout") return { state, end: "timeout", reason: "it has reached its walltime" };
	if (word === "0") return { state, end: "completed", reason: "", exitCode: 0 };
	if (/^\d+$/.test(word)) return { state, end: "failed", reason: `exit status ${word}`, ...exitCode };
	return { state, end: "vanished", reason: "its process is gone from the host" };
}

/** Of a block on several hosts: it has ended when it has everywhere, and lives where it lives. */
export function joinStatuses(ofHosts: readonly JobStatus[]): JobStatus {
	for (const state of ["running", "starting", "unknown"] as const) {
		const found = ofHosts.find((status) => status.state === state);
		if (found) return found;
	}
	const worst = ofHosts.find(({ end }) => end !== "completed") ?? ofHosts[0];
	return worst ?? { state: "ended", end: "vanished", reason: "it is on no host" };
}
