import type {
	AuthPolicyId,
	EndpointId,
	FlowId,
	FunctionId,
	RunId,
	ShareId,
	TaskGroupId,
	TaskId,
	TransferId,
} from "@errand/proto";
import * as z from "zod";

/** A UUID in a path or query: upper case is accepted, and lowered for everything behind. */
const id = <T extends string>() => z.uuid().transform((text) => text.toLowerCase() as T);

export const taskId = id<TaskId>();
export const taskGroupId = id<TaskGroupId>();
export const functionId = id<FunctionId>();
export const endpointId = id<EndpointId>();
export const authPolicyId = id<AuthPolicyId>();
export const shareId = id<ShareId>();
export const flowId = id<FlowId>();
export const runId = id<RunId>();
export const transferId = id<TransferId>();

/** An account by id or username, or a group by id or name, in a path. */
export const nameOrId = z
	.string()
	.min(1)
	.max(256)
	.regex(/^[^\s'"/\\\0]+$/, "is neither an id nor a name");

/** A page of rows: its size, and where the page before it ended. */
export const pageQuery = z.strictObject({
	limit: z
		.string()
		.regex(/^\d{1,4}$/, "is not a whole number")
		.transform(Number)
		.pipe(z.number().min(1).max(1000))
		.default(100),
	cursor: z.string().min(1).max(1024).optional(),
});

/** Without the keys whose value is undefined, as options of our ports are written. */
export function given<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
	const kept = Object.entries(options).filter(([, value]) => value !== undefined);
	return Object.fromEntries(kept) as { [K in keyof T]: Exclude<T[K], undefined> };
}
