/** Flows: make, read, change, delete, and check what somebody would run. */
import { Fault, type FlowId, newId } from "@errand/proto";
import { type FlowIssue, hidePrivateDefinition, type Json } from "@errand/proto/flow";
import type { FlowDocument, flowChange, flowCreation } from "@errand/proto/rest";
import type * as z from "zod";
import { checkInputSchema, checkRunnable, readDefinition } from "../flows/definition.ts";
import type { Caller } from "../policy/caller.ts";
import { may, type Thing } from "../policy/policy.ts";
import { insertAudit } from "../store/audit.ts";
import {
	deleteFlow,
	type FlowContent,
	type FlowRow,
	findFlow,
	flowsFor,
	insertFlow,
	updateFlow,
} from "../store/flows.ts";
import { flowThing, identityUrn, principalsOf } from "./flow-roles.ts";
import type { Operations } from "./operations.ts";
import { cursorOf, partsOf, toPage } from "./paging.ts";
import { permit } from "./permission.ts";
import type { Ports } from "./ports.ts";

type FlowOperations = Pick<
	Operations,
	"createFlow" | "getFlow" | "listFlows" | "updateFlow" | "deleteFlow" | "validateFlow"
>;

export interface FoundFlow {
	readonly row: FlowRow;
	readonly thing: Thing;
}

/** A flow that has not been deleted, and that the caller may see. */
export async function findFlowFor(
	{ database }: Pick<Ports, "database">,
	caller: Caller,
	id: FlowId,
): Promise<FoundFlow> {
	const row = await findFlow(database, id);
	const thing = row === undefined ? {} : flowThing(row, await principalsOf(database, caller));
	permit(caller, "flow.read", thing, id);
	if (row === undefined || row.deleted_at !== null)
		throw new Fault("FLOW_NOT_FOUND", `Flow ${id} could not be resolved`, { args: [id] });
	return { row, thing };
}

export function flowOperations(ports: Ports): FlowOperations {
	const { database, providerObstacle } = ports;

	/** What its author should know; throws FLOW_INVALID for what cannot be. */
	function check(document: unknown, schema: unknown): readonly FlowIssue[] {
		if (schema !== undefined) checkInputSchema(schema);
		if (document === undefined) return [];
		const { definition, warnings } = readDefinition(document);
		checkRunnable(definition, providerObstacle);
		return warnings;
	}

	return {
		async createFlow(caller, input) {
			permit(caller, "flow.create");
			check(input.definition, input.input_schema);
			const row = await insertFlow(database, newId<FlowId>(), caller.accountId, contentOf(input) as FlowContent);
			return toDocument(caller, { row, thing: { ownerId: row.owner_id } });
		},

		async getFlow(caller, id) {
			return toDocument(caller, await findFlowFor(ports, caller, id));
		},

		async listFlows(caller, filter) {
			permit(caller, "flow.list");
			const principals = await principalsOf(database, caller);
			const [before] = partsOf(filter.cursor, 1);
			const rows = await flowsFor(
				database,
				{ account: caller.accountId, principals },
				{ before: placeOf(before), text: filter.text, limit: filter.limit + 1 },
			);
			const document = (row: FlowRow) => toDocument(caller, { row, thing: flowThing(row, principals) });
			return toPage(rows, filter.limit, document, (row) => cursorOf(String(row.seq)));
		},

		async updateFlow(caller, id, change) {
			const { row, thing } = await findFlowFor(ports, caller, id);
			permit(caller, "flow.change", thing, id);
			check(change.definition, change.input_schema);
			const after = await updateFlow(database, id, { ...row, ...contentOf(change) });
			if (after === undefined) throw new Fault("FLOW_NOT_FOUND", `Flow ${id} could not be resolved`, { args: [id] });
			await insertAudit(database, caller, "flow.change", id, { title: after.title });
			return toDocument(caller, { row: after, thing });
		},

		async deleteFlow(caller, id) {
			const found = await findFlowFor(ports, caller, id);
			permit(caller, "flow.delete", found.thing, id);
			await deleteFlow(database, id);
			await insertAudit(database, caller, "flow.delete", id, { title: found.row.title });
			return toDocument(caller, found);
		},

		async validateFlow(caller, { definition, input_schema }) {
			permit(caller, "flow.create");
			const warnings = check(definition, input_schema);
			return {
				scopes: {},
				warnings: warnings.map(({ code, path, message }) => ({ code, path, message })),
			};
		},
	};
}

/** Of a list's cursor. */
export function placeOf(text: string | undefined): bigint | undefined {
	if (text === undefined) return undefined;
	if (!/^\d{1,19}$/.test(text))
		throw new Fault("REQUEST_MALFORMED", "this marker did not come from this list; start again without one");
	return BigInt(text);
}

type Content = z.output<typeof flowChange> | z.output<typeof flowCreation>;

/** Of what was said; the rest is left out. */
function contentOf(input: Content): Partial<FlowContent> {
	return withoutUndefined({
		title: input.title,
		subtitle: input.subtitle,
		description: input.description,
		keywords: input.keywords,
		definition: input.definition,
		input_schema: input.input_schema,
		viewers: input.flow_viewers,
		starters: input.flow_starters,
		administrators: input.flow_administrators,
		run_managers: input.run_managers,
		run_monitors: input.run_monitors,
	});
}

const withoutUndefined = <T extends object>(some: T): { [K in keyof T]: Exclude<T[K], undefined> } =>
	Object.fromEntries(Object.entries(some).filter(([, value]) => value !== undefined)) as never;

function toDocument(caller: Caller, { row, thing }: FoundFlow): FlowDocument {
	const whole = may(caller, "flow.change", thing);
	return {
		id: row.id,
		title: row.title,
		subtitle: row.subtitle,
		description: row.description,
		keywords: row.keywords,
		definition: (whole ? row.definition : hidePrivateDefinition(row.definition as Json)) as FlowDocument["definition"],
		input_schema: row.input_schema as FlowDocument["input_schema"],
		flow_owner: identityUrn(row.owner_id),
		created_by: identityUrn(row.owner_id),
		flow_viewers: row.viewers,
		flow_starters: row.starters,
		flow_administrators: row.administrators,
		run_managers: row.run_managers,
		run_monitors: row.run_monitors,
		created_at: row.created_at.toISOString(),
		updated_at: row.updated_at.toISOString(),
		user_role: roleOf(caller, thing),
		api_version: "1.0",
		synchronous: false,
		log_supported: true,
		types: ["Action"],
	};
}

function roleOf(caller: Caller, thing: Thing): FlowDocument["user_role"] {
	if (thing.ownerId === caller.accountId) return "flow_owner";
	// The cloud's administrators may do what a flow's may.
	if (may(caller, "flow.change", thing)) return "flow_administrator";
	return thing.roles?.has("flow-starter") ? "flow_starter" : "flow_viewer";
}
