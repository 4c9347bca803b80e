/**
 * Action providers elsewhere, by the interface of the field: `run`, `status`, `cancel` and `resume` under their address.
 * Only addresses that the operator has listed are asked, and no redirect is followed: a flow's author chooses where.
 */
import type { Json, JsonObject } from "@errand/proto/flow";
import * as z from "zod";
import { type Answer, type Ask, type Provider, Refusal, Silence } from "./provider.ts";

/** Less than the lease of whoever asks. */
const answerTimeoutMs = 20_000;
/** Of one answer: more could not be put into a run's state. */
const answerLimitBytes = 512 * 1024;
/** 1, 2, 4 … 30 s. */
const pollMs = { first: 1_000, most: 30_000 };

const statusDocument = z.looseObject({
	action_id: z.string().min(1).max(1024),
	status: z.enum(["ACTIVE", "INACTIVE", "SUCCEEDED", "FAILED"]),
	details: z.json().default(null),
});

interface Reply {
	readonly status: number;
	readonly body: unknown;
}

/** `allowed`: addresses, and beginnings of addresses that end in a slash. */
export function isAllowed(url: string, allowed: readonly string[]): boolean {
	// As it will be asked: dots and backslashes in a path are resolved first.
	const asked = URL.canParse(url) ? new URL(url).href : undefined;
	if (asked === undefined) return false;
	return allowed.some((one) => {
		const base = new URL(one).href;
		return asked === base || `${asked}/` === base || (base.endsWith("/") && asked.startsWith(base));
	});
}

/** The caller's own token goes to nobody: such a provider must know the service by its address. */
export function httpProvider(): Provider {
	async function send(ask: Ask, path: string, method: "GET" | "POST", body?: JsonObject): Promise<Reply> {
		let response: Response;
		try {
			response = await fetch(`${ask.url.replace(/\/+$/, "")}/${path}`, {
				method,
				redirect: "manual",
				signal: AbortSignal.timeout(answerTimeoutMs),
				headers: {
					accept: "application/json",
					...(body && { "content-type": "application/json" }),
				},
				...(body && { body: JSON.stringify(body) }),
			});
			return { status: response.status, body: await readJson(response) };
		} catch (cause) {
			if (cause instanceof Silence) throw cause;
			throw new Silence(`${ask.url} does not answer: ${reasonOf(cause)}`);
		}
	}

	/** What passes by itself is a Silence; the rest of the refusals is for good. */
	function accepted(ask: Ask, reply: Reply): Answer {
		const { status, body } = reply;
		if (status === 429 || status >= 500) throw new Silence(`${ask.url} answered ${status}`);
		if (status < 200 || status >= 300) throw new Refusal(`${ask.url} answered ${status}: ${wordsOf(body)}`);
		const parsed = statusDocument.safeParse(body);
		if (!parsed.success) throw new Silence(`${ask.url} answered with what is no status document`);
		const document = parsed.data;
		if (ask.actionId !== null && document.action_id !== ask.actionId)
			throw new Silence(`${ask.url} answered about the action ${document.action_id}, not ${ask.actionId}`);
		return {
			status: document.status,
			actionId: document.action_id,
			document: document as Json,
			askAgainMs: Math.min(pollMs.first * 2 ** Math.min(ask.asked - 1, 10), pollMs.most),
		};
	}

	const path = (ask: Ask, verb: string): string => `${encodeURIComponent(ask.actionId ?? "")}/${verb}`;

	/** An action that its provider has forgotten, or does not tell us of, has failed: nobody will hear of it again. */
	function told(ask: Ask, reply: Reply): Answer {
		try {
			return accepted(ask, reply);
		} catch (cause) {
			if (!(cause instanceof Refusal)) throw cause;
			return {
				status: "FAILED",
				actionId: ask.actionId ?? "",
				askAgainMs: pollMs.most,
				document: {
					action_id: ask.actionId,
					status: "FAILED",
					display_status: "FAILED",
					details: { code: "ProviderRefused", description: cause.message },
				},
			};
		}
	}

	return {
		run: async (ask) =>
			accepted(
				ask,
				await send(ask, "run", "POST", {
					request_id: ask.requestId,
					body: ask.body,
					...(ask.label !== "" && { label: ask.label }),
				}),
			),
		status: async (ask) => told(ask, await send(ask, path(ask, "status"), "GET")),
		async cancel(ask) {
			const reply = await send(ask, path(ask, "cancel"), "POST", {});
			// Advisory: who does not know the word is asked how it goes on.
			if (reply.status === 404 || reply.status === 405) return told(ask, await send(ask, path(ask, "status"), "GET"));
			return told(ask, reply);
		},
		async resume(ask) {
			const reply = await send(ask, path(ask, "resume"), "POST", {});
			if (reply.status === 404 || reply.status === 405) return told(ask, await send(ask, path(ask, "status"), "GET"));
			return told(ask, reply);
		},
	};
}

/** Undefined for what is not JSON. */
async function readJson(response: Response): Promise<unknown> {
	const chunks: Uint8Array[] = [];
	let sizeBytes = 0;
	for await (const chunk of response.body ?? []) {
		sizeBytes += (chunk as Uint8Array).length;
		if (sizeBytes > answerLimitBytes) throw new Silence(`the answer has more than ${answerLimitBytes} bytes`);
		chunks.push(chunk as Uint8Array);
	}
	try {
		return JSON.parse(Buffer.concat(chunks).toString("utf8")) as unknown;
	} catch {
		return undefined;
	}
}

function reasonOf(cause: unknown): string {
	const { message, cause: inner } = cause as { message?: string; cause?: { message?: string } };
	return inner?.message ?? message ?? String(cause);
}

/** What a provider says of a refusal, as far as it fits into one line. */
function wordsOf(body: unknown): string {
	const said = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
	const words = said.description ?? said.detail ?? said.message ?? said.error ?? "it does not say why";
	return (typeof words === "string" ? words : JSON.stringify(words)).slice(0, 300);
}
