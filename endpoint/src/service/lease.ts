/**
 * One daemon for one endpoint: the cloud's lease, not a file, decides. The file only remembers who held it on this
 * machine, so that the lease of a process that is known to be dead need not run out first.
 */
import { rmSync } from "node:fs";
import { readFile, rename, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { Fault, leaseTtlMs, newId } from "@errand/proto";
import type { Lease } from "@errand/proto/rest";
import * as z from "zod";
import { BackOff, pause } from "../uplink/back-off.ts";
import type { CloudClient } from "../uplink/cloud-client.ts";
import type { Logger } from "./logger.ts";
import { isAlive, processStart } from "./process-identity.ts";

const holder = z.object({ holder_id: z.uuid(), pid: z.int(), start: z.string(), host: z.string() });
type Holder = z.infer<typeof holder>;

export interface HeldLease {
	readonly lease: Lease;
	/** Gives it back; the next daemon need not wait. */
	release(): Promise<void>;
	/** Leaves it as it is and stops renewing. */
	abandon(): void;
}

export interface LeaseOptions {
	readonly directory: string;
	readonly cloud: Pick<CloudClient, "takeLease" | "releaseLease">;
	/** Another daemon has the lease, or the endpoint was deleted: this one must stop at once. */
	readonly onLost: (error: Fault) => void;
	readonly log: Logger;
	readonly signal: AbortSignal;
}

/** Waits for the lease of a holder that may be dead to run out. A Fault LEASE_HELD when the other one lives. */
export async function takeLease({ directory, cloud, onLost, log, signal }: LeaseOptions): Promise<HeldLease> {
	const path = join(directory, "holder.json");
	const before = await readHolder(path);
	const here = before?.host === hostname();
	if (before && here && before.pid !== process.pid && isAlive(before.pid, before.start))
		throw new Fault(
			"LEASE_HELD",
			`this endpoint runs already on this machine as process ${before.pid}; stop it first, or leave it running`,
		);
	const me: Holder = {
		holder_id: newId(),
		pid: process.pid,
		start: processStart(process.pid) ?? "unknown",
		host: hostname(),
	};
	const request = { holder_id: me.holder_id, host: me.host, pid: me.pid };
	let lease = await firstLease(
		cloud,
		here && before ? { ...request, replaces_holder_id: before.holder_id } : request,
		log,
		signal,
	);
	await writeFile(`${path}.new`, `${JSON.stringify(me)}\n`, { mode: 0o600 });
	await rename(`${path}.new`, path);

	let over = false;
	const renew = async (): Promise<void> => {
		try {
			lease = await cloud.takeLease(request, signal);
		} catch (error) {
			if (over || signal.aborted) return;
			if (error instanceof Fault && (error.code === "LEASE_HELD" || error.code === "ENDPOINT_NOT_FOUND")) {
				over = true;
				onLost(error);
				return;
			}
			log.warn({ err: error }, "lease: it was not renewed; trying again");
		}
		if (!over) timer = setTimeout(() => void renew(), lease.ttl_ms / 3);
	};
	let timer = setTimeout(() => void renew(), lease.ttl_ms / 3);
	const stop = (): void => {
		over = true;
		clearTimeout(timer);
	};
	return {
		get lease() {
			return lease;
		},
		abandon: stop,
		async release() {
			stop();
			rmSync(path, { force: true });
			await cloud
				.releaseLease(request, AbortSignal.timeout(3_000))
				.catch((error: unknown) => log.warn({ err: error }, "lease: it could not be given back and will run out"));
		},
	};
}

async function firstLease(
	cloud: LeaseOptions["cloud"],
	request: Parameters<CloudClient["takeLease"]>[0],
	log: Logger,
	signal: AbortSignal,
): Promise<Lease> {
	const backOff = new BackOff(500, 10_000);
	// Whoever renews does so within this time; a dead one's lease ends in it.
	const giveUpAtMs = performance.now() + leaseTtlMs * 1.2;
	for (;;) {
		try {
			return await cloud.takeLease(request, signal);
		} catch (error) {
			const held = error instanceof Fault && error.code === "LEASE_HELD";
			if (signal.aborted || (error instanceof Fault && !held && error.httpStatus < 500)) throw error;
			if (held && performance.now() > giveUpAtMs) throw error;
			const waitMs = backOff.nextMs();
			log.warn(
				{ err: error, waitMs: Math.round(waitMs) },
				held
					? "lease: another daemon has it; waiting to see whether it lives"
					: "lease: no answer yet, waiting to ask again",
			);
			await pause(waitMs, signal);
		}
	}
}

async function readHolder(path: string): Promise<Holder | undefined> {
	try {
		return holder.parse(JSON.parse(await readFile(path, "utf8")));
	} catch {
		// A missing or damaged note only costs waiting for the lease.
		return undefined;
	}
}
