/** What an agent says to the cloud, and hears from it. */
import { Fault, faults, isFaultCode, type TransferStatus } from "@errand/proto";
import {
	type AgentAssignments,
	type AgentPoll,
	agentAssignments,
	reportTaken,
	type TransferReport,
} from "@errand/proto/rest";
import * as z from "zod";

/** Besides the time that the cloud may wait. */
const requestTimeoutMs = 30_000;

const problem = z.object({ code: z.string(), detail: z.string() });

export interface Control {
	/** One try. Waits up to `wait_ms` for something new. */
	poll(poll: AgentPoll, signal: AbortSignal): Promise<AgentAssignments>;
	/** One try. */
	report(transferId: string, report: TransferReport, signal: AbortSignal): Promise<TransferStatus>;
}

export interface ControlOptions {
	/** Without a slash at the end. */
	readonly cloudUrl: string;
	/** The endpoint's id, or the one that a person's command has made for itself. */
	readonly agentId: string;
	readonly accessToken: (options?: { fresh?: boolean }) => Promise<string>;
}

export function openControl({ cloudUrl, agentId, accessToken }: ControlOptions): Control {
	async function once(method: string, path: string, body: unknown, signal: AbortSignal, fresh: boolean) {
		const response = await fetch(cloudUrl + path, {
			method,
			headers: { authorization: `Bearer ${await accessToken({ fresh })}`, "content-type": "application/json" },
			body: JSON.stringify(body),
			signal,
		});
		const text = await response.text();
		if (response.ok) return JSON.parse(text) as unknown;
		const read = problem.safeParse(jsonOf(text));
		if (read.success && isFaultCode(read.data.code)) throw new Fault(read.data.code, read.data.detail);
		throw new Error(`${method} ${path} was answered with ${response.status}`);
	}

	async function request(method: string, path: string, body: unknown, signal: AbortSignal, waitMs = 0) {
		const signals = AbortSignal.any([signal, AbortSignal.timeout(requestTimeoutMs + waitMs)]);
		try {
			return await once(method, path, body, signals, false);
		} catch (error) {
			const refused = error instanceof Fault && faults[error.code].httpStatus === 401;
			if (!refused) throw error;
			return await once(method, path, body, signals, true);
		}
	}

	return {
		async poll(poll, signal) {
			const body = await request("PUT", `/v1/transfer-agents/${agentId}`, poll, signal, poll.wait_ms);
			return agentAssignments.parse(body);
		},
		async report(transferId, report, signal) {
			const body = await request("POST", `/v1/transfers/${transferId}/reports`, report, signal);
			return reportTaken.parse(body).status;
		},
	};
}

function jsonOf(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}
