import * as z from "zod";

/** `POST /v3/functions` */
export const functionRegistration = z.object({
	function_name: z.string().min(1).max(256),
	/** `pack([<id>\n<content>])`; with `serialized: false` the Python source itself, in which `function_name` is bound. */
	function_code: z.string().min(1),
	serialized: z.boolean().optional(),
	meta: z
		.object({
			python_version: z.string().optional(),
			sdk_version: z.string().optional(),
			serde_identifier: z.string().optional(),
		})
		.nullish(),
	description: z.string().max(10_000).nullish(),
	public: z.boolean().optional(),
	group: z.uuid().nullish(),
	ha_endpoint_id: z.uuid().nullish(),
});
export type FunctionRegistration = z.input<typeof functionRegistration>;

export const functionRegistered = z.object({ function_uuid: z.uuid() });

/** `GET /v2/functions/{id}` */
export const functionDocument = z.object({
	function_uuid: z.uuid(),
	function_name: z.string(),
	function_code: z.string(),
	description: z.string().optional(),
	metadata: z.object({ python_version: z.string().optional(), sdk_version: z.string().optional() }),
});

/** One row of `GET /v1/functions` */
export const functionSummary = z.object({
	id: z.uuid(),
	name: z.string(),
	runtime: z.enum(["javascript", "python", "command"]),
	description: z.string().nullable(),
	public: z.boolean(),
	/** Its members may use the function too. */
	group_id: z.uuid().nullable(),
	owner_id: z.uuid(),
	created_at: z.iso.datetime(),
});
export type FunctionSummary = z.infer<typeof functionSummary>;
