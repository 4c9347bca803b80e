/** Functions: register, read, list, delete. */
import {
	type AccountGroupId,
	Fault,
	type FunctionId,
	functionLimitBytes,
	joinBuffer,
	newId,
	pack,
	parseId,
	runtimeOf,
	serializations,
} from "@errand/proto";
import type { FunctionSummary } from "@errand/proto/rest";
import { Runtime } from "@errand/proto/wire";
import { findAccountGroup } from "../store/account-groups.ts";
import { insertAudit } from "../store/audit.ts";
import { deleteFunction, functionsOfOwner, insertFunction } from "../store/functions.ts";
import type { Operations } from "./operations.ts";
import { cursorOf, partsOf, toPage } from "./paging.ts";
import { permit } from "./permission.ts";
import type { Ports } from "./ports.ts";
import type { Standings } from "./standing.ts";

type FunctionOperations = Pick<Operations, "registerFunction" | "getFunction" | "listFunctions" | "deleteFunction">;

const runtimeWords: { readonly [R in Runtime]?: FunctionSummary["runtime"] } = {
	[Runtime.JAVASCRIPT]: "javascript",
	[Runtime.PYTHON]: "python",
	[Runtime.COMMAND]: "command",
};

/** Python source as it is, in the buffer that workers take. */
function packSource(name: string, source: string): string {
	if (name.includes(":"))
		throw new Fault(
			"SEMANTICALLY_INVALID",
			`function_name of source must be what the source binds; "${name}" has a colon`,
			{
				args: [name],
			},
		);
	return pack([joinBuffer(serializations.pythonSource, `${name}:${source}`)]);
}

export function functionOperations({ database, functions }: Ports, standings: Standings): FunctionOperations {
	const find = async (id: FunctionId) => {
		const entry = (await functions.find([id], "living")).get(id);
		if (entry === undefined)
			throw new Fault("FUNCTION_NOT_FOUND", `Function ${id} could not be resolved`, { args: [id] });
		return entry.row;
	};
	return {
		async registerFunction(caller, input) {
			permit(caller, "function.register");
			const sizeBytes = Buffer.byteLength(input.function_code);
			if (sizeBytes > functionLimitBytes)
				throw new Fault(
					"FUNCTION_TOO_LARGE",
					`the function's code has ${sizeBytes} bytes; ${functionLimitBytes} are allowed. Leave data out of it and pass them as arguments`,
				);
			const code =
				input.serialized === false ? packSource(input.function_name, input.function_code) : input.function_code;
			const runtime = runtimeOf(code);
			if (runtime === undefined)
				throw new Fault(
					"SEMANTICALLY_INVALID",
					"function_code is not packed code of a kind that any worker runs: a length, a newline, a two-character id, a newline, the code",
				);
			const group = input.group ? (input.group.toLowerCase() as AccountGroupId) : null;
			if (group !== null && (await findAccountGroup(database, caller.accountId, group))?.membership == null)
				throw new Fault("AUTH_GROUP_NOT_FOUND", `Group ${group} could not be resolved: you are in no such group`, {
					args: [group],
				});
			const id = newId<FunctionId>();
			await insertFunction(database, {
				id,
				owner_id: caller.accountId,
				name: input.function_name,
				runtime,
				code,
				description: input.description ?? null,
				public: input.public ?? false,
				group_id: group,
				metadata: { ...input.meta },
			});
			if (input.public === true || group !== null)
				await insertAudit(database, caller, "function.open", id, {
					name: input.function_name,
					public: input.public ?? false,
					...(group !== null && { group }),
				});
			return id;
		},

		async getFunction(caller, id) {
			const row = await find(id);
			await standings.permitFunction(caller, "function.read", row);
			const { python_version, sdk_version } = row.metadata as { python_version?: string; sdk_version?: string };
			return {
				function_uuid: id,
				function_name: row.name,
				function_code: row.code,
				...(row.description === null ? {} : { description: row.description }),
				metadata: {
					...(python_version === undefined ? {} : { python_version }),
					...(sdk_version === undefined ? {} : { sdk_version }),
				},
			};
		},

		async listFunctions(caller, request) {
			permit(caller, "function.register");
			const [createdAt, id] = partsOf(request.cursor, 2);
			const after =
				createdAt === undefined ? undefined : { createdAt: new Date(createdAt), id: parseId<FunctionId>(id ?? "") };
			if (after !== undefined && (Number.isNaN(after.createdAt.getTime()) || after.id === undefined))
				throw new Fault("REQUEST_MALFORMED", "this cursor did not come from this list");
			const rows = await functionsOfOwner(
				database,
				caller.accountId,
				after as { createdAt: Date; id: FunctionId } | undefined,
				request.limit + 1,
			);
			return toPage(
				rows,
				request.limit,
				(row) => ({
					id: row.id,
					name: row.name,
					runtime: runtimeWords[row.runtime as Runtime] ?? "command",
					description: row.description,
					public: row.public,
					group_id: row.group_id,
					owner_id: row.owner_id,
					created_at: row.created_at.toISOString(),
				}),
				(row) => cursorOf(row.created_at.toISOString(), row.id),
			);
		},

		async deleteFunction(caller, id) {
			const row = await find(id);
			permit(caller, "function.delete", { ownerId: row.owner_id }, id);
			await deleteFunction(database, id);
			await insertAudit(database, caller, "function.delete", id, { name: row.name });
			functions.forget(id);
		},
	};
}
