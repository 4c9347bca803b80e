/** Flows and their runs: a part of the client. */
import * as rest from "@errand/proto/rest";
import type * as z from "zod";
import type { Rest } from "./rest.ts";

export interface MarkedOptions {
	/** Rows in a page, 1 to 100. */
	limit?: number;
	/** Where the page before ended. */
	marker?: string;
}

export interface FlowFilter extends MarkedOptions {
	/** In title, subtitle or description. */
	text?: string;
}

export interface RunFilter extends MarkedOptions {
	flows?: readonly string[];
	statuses?: readonly rest.RunDocument["status"][];
	/** In the label. */
	label?: string;
}

export type FlowValidated = z.infer<typeof rest.flowValidated>;
export type RunDefinition = z.infer<typeof rest.runDefinition>;

const id = encodeURIComponent;
const fresh = (): string => globalThis.crypto.randomUUID();

export class FlowService {
	readonly #rest: Rest;

	constructor(restClient: Rest) {
		this.#rest = restClient;
	}

	/** Throws a CloudError FLOW_INVALID with everything that is wrong with the definition. */
	create(flow: rest.FlowCreation): Promise<rest.FlowDocument> {
		return this.#rest.json({ method: "POST", path: "/v1/flows", body: flow, once: true }, rest.flowDocument);
	}

	validate(definition: unknown, inputSchema?: unknown): Promise<FlowValidated> {
		const body = { definition, ...(inputSchema !== undefined && { input_schema: inputSchema }) };
		return this.#rest.json({ method: "POST", path: "/v1/flows/validate", body }, rest.flowValidated);
	}

	get(flow: string): Promise<rest.FlowDocument> {
		return this.#rest.json({ method: "GET", path: `/v1/flows/${id(flow)}` }, rest.flowDocument);
	}

	/** Newest first. */
	list({ text, ...page }: FlowFilter = {}): Promise<rest.FlowPage> {
		const query = { ...page, filter_fulltext: text };
		return this.#rest.json({ method: "GET", path: "/v1/flows", query }, rest.flowPage);
	}

	/** Runs under way keep the definition that they began with. */
	update(flow: string, change: rest.FlowChange): Promise<rest.FlowDocument> {
		return this.#rest.json({ method: "PUT", path: `/v1/flows/${id(flow)}`, body: change }, rest.flowDocument);
	}

	/** Its runs stay. */
	delete(flow: string): Promise<void> {
		return this.#rest.done({ method: "DELETE", path: `/v1/flows/${id(flow)}` });
	}

	/** Begins a run; repeated after a lost reply it is still one. */
	start(flow: string, run: rest.RunStart): Promise<rest.RunDocument> {
		const path = `/v1/flows/${id(flow)}/run`;
		return this.#rest.json({ method: "POST", path, body: run, idempotencyKey: fresh() }, rest.runDocument);
	}

	getRun(run: string): Promise<rest.RunDocument> {
		return this.#rest.json({ method: "GET", path: `/v1/runs/${id(run)}` }, rest.runDocument);
	}

	/** Newest first. */
	listRuns({ flows, statuses, label, ...page }: RunFilter = {}): Promise<rest.RunPage> {
		const query = {
			...page,
			filter_flow_id: flows?.join(","),
			filter_status: statuses?.join(","),
			filter_label: label,
		};
		return this.#rest.json({ method: "GET", path: "/v1/runs", query }, rest.runPage);
	}

	/** The definition that the run began with. */
	runDefinition(run: string): Promise<RunDefinition> {
		return this.#rest.json({ method: "GET", path: `/v1/runs/${id(run)}/definition` }, rest.runDefinition);
	}

	/** What happened, oldest first unless `reverse`. */
	runLog(run: string, { reverse, ...page }: MarkedOptions & { reverse?: boolean } = {}): Promise<rest.RunLogPage> {
		const query = { ...page, reverse_order: reverse ? "true" : undefined };
		return this.#rest.json({ method: "GET", path: `/v1/runs/${id(run)}/log`, query }, rest.runLogPage);
	}

	/** The states that it went through, each with its input and output. */
	runStates(run: string): Promise<rest.RunVisits> {
		return this.#rest.json({ method: "GET", path: `/v1/runs/${id(run)}/states` }, rest.runVisits);
	}

	/** May be repeated. */
	cancelRun(run: string): Promise<rest.RunDocument> {
		return this.#rest.json({ method: "POST", path: `/v1/runs/${id(run)}/cancel` }, rest.runDocument);
	}

	/** What the inactive run waited for has been put right. */
	resumeRun(run: string): Promise<rest.RunDocument> {
		return this.#rest.json({ method: "POST", path: `/v1/runs/${id(run)}/resume` }, rest.runDocument);
	}

	/** A new run from the states at which this one failed, with what the others came to. */
	rerun(run: string): Promise<rest.RunDocument> {
		const path = `/v1/runs/${id(run)}/rerun`;
		return this.#rest.json({ method: "POST", path, idempotencyKey: fresh() }, rest.runDocument);
	}

	/** Label, tags and people. */
	updateRun(run: string, change: rest.RunChange): Promise<rest.RunDocument> {
		return this.#rest.json({ method: "PUT", path: `/v1/runs/${id(run)}`, body: change }, rest.runDocument);
	}

	/** Forgets a run that has ended. */
	releaseRun(run: string): Promise<void> {
		return this.#rest.done({ method: "POST", path: `/v1/runs/${id(run)}/release`, once: true });
	}
}
