/**
 * The door to the cloud's HTTP interface: one request with its token, its time limit and its repetitions.
 * Repeated: network errors, 429, 500, 502, 503 and 504, as long as the request may be repeated (every one may: a submit
 * carries an idempotency key). `Retry-After` is obeyed. A 401 brings one fresh token and one repetition.
 */
import { Fault, type FaultCode, isFaultCode } from "@errand/proto";
import type * as z from "zod";
import type { TokenSource } from "./auth/token-source.ts";
import { type BackOff, pause, waitBeforeMs } from "./back-off.ts";
import { CloudError } from "./errors.ts";
import { type Log, silentLog } from "./log.ts";
import { whyUnreachable } from "./unreachable.ts";

export interface RestOptions {
	tokens: TokenSource;
	/** For one attempt, until the reply's body is read. 60 s unless told: the cloud answers a full submit in less. */
	timeoutMs?: number;
	/** How often a request is repeated before its error is the caller's. 8 unless told: about half a minute of outage. */
	retries?: number;
	/**
	 * The same for what a program does once it has met the cloud: submits, values by reference, output. 40 unless told:
	 * about seven minutes of outage.
	 */
	patientRetries?: number;
	/** 250 ms doubling to 15 s unless told. */
	backOff?: BackOff;
	/** The longest `Retry-After` that is waited for; a longer one is the caller's error. 5 minutes unless told. */
	retryAfterLimitMs?: number;
	log?: Log;
}

export interface RestRequest {
	method: "GET" | "HEAD" | "POST" | "PUT" | "DELETE";
	path: string;
	query?: Record<string, string | number | readonly string[] | undefined>;
	/** JSON. */
	body?: unknown;
	/** Bytes, instead of JSON. */
	bytes?: Uint8Array<ArrayBuffer>;
	idempotencyKey?: string;
	/** No token: for what anybody may ask. */
	anonymous?: boolean;
	/** A repetition would not do the same again: only a refusal that surely did nothing (429, 503) is repeated. */
	once?: boolean;
	/** Repeated as often as `patientRetries` says. */
	patient?: boolean;
	signal?: AbortSignal;
}

const retryableStatuses = new Set([429, 500, 502, 503, 504]);
/** The service says that it did nothing. */
const refusedStatuses = new Set([429, 503]);

export class Rest {
	readonly cloudUrl: string;
	readonly #tokens: TokenSource;
	readonly #timeoutMs: number;
	readonly #retries: number;
	readonly #patientRetries: number;
	readonly #backOff: BackOff;
	readonly #retryAfterLimitMs: number;
	readonly #log: Log;

	constructor(options: RestOptions) {
		this.#tokens = options.tokens;
		this.cloudUrl = options.tokens.cloudUrl.replace(/\/+$/, "");
		this.#timeoutMs = options.timeoutMs ?? 60_000;
		this.#retries = options.retries ?? 8;
		this.#patientRetries = options.patientRetries ?? Math.max(40, this.#retries);
		this.#backOff = options.backOff ?? { firstMs: 250, limitMs: 15_000 };
		this.#retryAfterLimitMs = options.retryAfterLimitMs ?? 300_000;
		this.#log = options.log ?? silentLog;
	}

	accessToken(options?: { forceRefresh?: boolean }): Promise<string> {
		return this.#tokens.accessToken(options);
	}

	/** The reply's JSON, checked against `schema`. Throws a CloudError. */
	async json<Schema extends z.ZodType>(request: RestRequest, schema: Schema): Promise<z.output<Schema>> {
		return this.send(request, async (response) => {
			const parsed = schema.safeParse(await response.json().catch(() => undefined));
			if (parsed.success) return parsed.data;
			const where = parsed.error.issues[0]?.path.join(".") ?? "";
			throw new CloudError(
				"CLOUD_UNINTELLIGIBLE",
				`${request.method} ${request.path}: the reply is not what this version of the SDK expects${where === "" ? "" : ` at ${where}`}; are SDK and cloud of the same version?`,
				{ httpStatus: response.status, cause: parsed.error },
			);
		});
	}

	/** The reply's bytes. */
	async bytes(request: RestRequest): Promise<Uint8Array<ArrayBuffer>> {
		return this.send(request, async (response) => new Uint8Array(await response.arrayBuffer()));
	}

	/** Nothing but success. */
	async done(request: RestRequest): Promise<void> {
		return this.send(request, async (response) => {
			await response.arrayBuffer();
		});
	}

	/** Sends, repeats as the rules above say, and reads the reply of the attempt that succeeded. */
	async send<T>(request: RestRequest, read: (response: Response) => Promise<T>): Promise<T> {
		let forceRefresh = false;
		for (let attempt = 0; ; ) {
			const outcome = await this.#attempt(request, forceRefresh, read);
			if ("value" in outcome) return outcome.value;
			const { error } = outcome;
			if (error.httpStatus === 401 && !forceRefresh && request.anonymous !== true) {
				forceRefresh = true;
				continue;
			}
			attempt++;
			const waitMs = this.#waitMs(request, error, attempt);
			if (waitMs === undefined) throw error;
			this.#log.warn(
				{ method: request.method, path: request.path, code: error.code, attempt, waitMs: Math.round(waitMs) },
				"waiting to repeat a request",
			);
			await pause(waitMs, request.signal);
		}
	}

	/** How long to wait before the next attempt; undefined: do not. */
	#waitMs(request: RestRequest, error: CloudError, attempt: number): number | undefined {
		// An outage ends; a fault of the service's own may be there each time.
		const patient = request.patient === true && error.code !== "INTERNAL_ERROR";
		if (attempt > (patient ? this.#patientRetries : this.#retries)) return undefined;
		const repeatable = request.once === true ? refusedStatuses : retryableStatuses;
		const unreachable = error.code === "CLOUD_UNREACHABLE" && request.once !== true;
		if (!unreachable && !repeatable.has(error.httpStatus)) return undefined;
		const ours = waitBeforeMs(this.#backOff, attempt);
		if (error.retryAfterS === undefined) return ours;
		const asked = error.retryAfterS * 1000;
		// A little after what was asked, and not everybody at the same instant.
		return asked > this.#retryAfterLimitMs ? undefined : asked + Math.min(ours, 250);
	}

	async #attempt<T>(
		request: RestRequest,
		forceRefresh: boolean,
		read: (response: Response) => Promise<T>,
	): Promise<{ value: T } | { error: CloudError }> {
		const timeout = AbortSignal.timeout(this.#timeoutMs);
		const signal = request.signal === undefined ? timeout : AbortSignal.any([timeout, request.signal]);
		try {
			const { headers, body } = await this.#contents(request, forceRefresh);
			const response = await fetch(this.#url(request), {
				method: request.method,
				headers,
				body,
				signal,
				redirect: "error",
			});
			if (response.ok) return { value: await read(response) };
			return { error: await refusal(request, response) };
		} catch (cause) {
			if (cause instanceof CloudError) throw cause;
			if (request.signal?.aborted) throw request.signal.reason;
			if (cause instanceof Fault) {
				return { error: new CloudError(cause.code, cause.message, { httpStatus: cause.httpStatus, cause }) };
			}
			return {
				error: new CloudError(
					"CLOUD_UNREACHABLE",
					`${this.cloudUrl} cannot be reached: ${whyUnreachable(cause, this.#timeoutMs)}`,
					{
						httpStatus: 0,
						cause,
					},
				),
			};
		}
	}

	async #contents(
		request: RestRequest,
		forceRefresh: boolean,
	): Promise<{ headers: Record<string, string>; body: string | Uint8Array<ArrayBuffer> | null }> {
		const headers: Record<string, string> = { accept: "application/json" };
		if (request.anonymous !== true) {
			headers.authorization = `Bearer ${await this.#tokens.accessToken(forceRefresh ? { forceRefresh } : undefined)}`;
		}
		let body: string | Uint8Array<ArrayBuffer> | null = null;
		if (request.bytes !== undefined) {
			headers["content-type"] = "application/octet-stream";
			body = request.bytes;
		} else if (request.body !== undefined) {
			headers["content-type"] = "application/json";
			body = JSON.stringify(request.body);
		}
		if (request.idempotencyKey !== undefined) headers["idempotency-key"] = request.idempotencyKey;
		return { headers, body };
	}

	#url({ path, query }: RestRequest): string {
		const url = new URL(this.cloudUrl + path);
		for (const [key, value] of Object.entries(query ?? {})) {
			if (value === undefined) continue;
			for (const each of typeof value === "object" ? value : [value]) url.searchParams.append(key, String(each));
		}
		return url.href;
	}
}

async function refusal(request: RestRequest, response: Response): Promise<CloudError> {
	const text = await response.text().catch(() => "");
	const problem = problemOf(text);
	const detail = problem.detail ?? `${request.method} ${request.path}: HTTP ${response.status}`;
	return new CloudError(problem.code ?? codeByStatus[response.status] ?? "INTERNAL_ERROR", detail, {
		httpStatus: response.status,
		retryAfterS: retryAfterS(response.headers.get("retry-after")),
	});
}

/** For replies without our error body: a proxy's, or none at all (HEAD). */
const codeByStatus: Record<number, FaultCode> = {
	400: "REQUEST_MALFORMED",
	401: "USER_UNAUTHENTICATED",
	403: "FORBIDDEN",
	404: "ROUTE_NOT_FOUND",
	405: "METHOD_NOT_ALLOWED",
	409: "RESOURCE_CONFLICT",
	413: "BATCH_RUN_TOO_LARGE",
	422: "SEMANTICALLY_INVALID",
	429: "TOO_MANY_REQUESTS",
	502: "NOT_READY",
	503: "NOT_READY",
	504: "NOT_READY",
};

function problemOf(text: string): { code?: FaultCode; detail?: string } {
	try {
		const { code, detail } = JSON.parse(text) as { code?: unknown; detail?: unknown };
		return {
			...(typeof code === "string" && isFaultCode(code) ? { code } : {}),
			...(typeof detail === "string" ? { detail } : {}),
		};
	} catch {
		return {};
	}
}

/** Seconds or a date, as HTTP has it. */
function retryAfterS(header: string | null): number | undefined {
	if (header === null) return undefined;
	if (/^\d+(\.\d+)?$/.test(header)) return Number(header);
	const at = Date.parse(header);
	return Number.isNaN(at) ? undefined : Math.max(0, (at - Date.now()) / 1000);
}
