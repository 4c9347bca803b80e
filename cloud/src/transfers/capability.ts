/**
 * The rights that a transfer gives for a while, as tokens: to read what it names, to write it, and to have either end's
 * connections joined. Each is made from the cloud's secret, the right, the transfer and the time, so that every process
 * of the cloud makes the same one and none is kept.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";

export type Right = "read" | "write" | "relay-source" | "relay-destination";

/** A token is good in the period that it was made in and in the next. */
const periodMs = 300_000;

export interface Capability {
	readonly token: string;
	/** Unix milliseconds. */
	readonly endsAtMs: number;
}

export class Capabilities {
	readonly #secret: Buffer;
	readonly #periodMs: number;

	constructor(secret: Buffer, ofMs = periodMs) {
		this.#secret = secret;
		this.#periodMs = ofMs;
	}

	/** The newest one. */
	issue(right: Right, transfer: string, nowMs: number): Capability {
		return this.#of(right, transfer, Math.floor(nowMs / this.#periodMs));
	}

	/** All that are good now, the newest first. */
	valid(right: Right, transfer: string, nowMs: number): Capability[] {
		const period = Math.floor(nowMs / this.#periodMs);
		return [this.#of(right, transfer, period), this.#of(right, transfer, period - 1)];
	}

	holds(right: Right, transfer: string, token: string, nowMs: number): boolean {
		const given = createHash("sha256").update(token).digest();
		return this.valid(right, transfer, nowMs).some((one) =>
			timingSafeEqual(given, createHash("sha256").update(one.token).digest()),
		);
	}

	#of(right: Right, transfer: string, period: number): Capability {
		const token = createHmac("sha256", this.#secret).update(`${right} ${transfer} ${period}`).digest("base64url");
		return { token, endsAtMs: (period + 2) * this.#periodMs };
	}
}
