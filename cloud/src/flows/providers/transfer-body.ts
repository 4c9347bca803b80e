/** Bodies of transfer actions: of the public interface's provider, which takes the document of a transfer, and of the one before. */
import { verifyLevels } from "@errand/proto";
import type { Json } from "@errand/proto/flow";
import { type TransferSubmission, transferSubmission } from "@errand/proto/rest";
import * as z from "zod";

type Submission = z.output<typeof transferSubmission>;

/** What the public interface's documents say besides, and what is not otherwise here: it is always so, or nobody is told. */
const besides = {
	DATA_TYPE: z.string().optional(),
	encrypt_data: z.boolean().optional(),
	submission_id: z.string().optional(),
	fail_on_quota_errors: z.boolean().optional(),
	notify_on_succeeded: z.boolean().optional(),
	notify_on_failed: z.boolean().optional(),
	notify_on_inactive: z.boolean().optional(),
};

const item = z
	.strictObject({
		DATA_TYPE: z.string().optional(),
		source_path: z.string(),
		destination_path: z.string(),
		recursive: z.boolean().optional(),
	})
	.transform(({ DATA_TYPE: _, ...rest }) => rest);

const rule = z.looseObject({ DATA_TYPE: z.string().optional() }).transform(({ DATA_TYPE: _, ...rest }) => rest);

const document = z.strictObject({
	...besides,
	source_endpoint: z.string().optional(),
	destination_endpoint: z.string().optional(),
	/** Their names in the version before. */
	source_endpoint_id: z.string().optional(),
	destination_endpoint_id: z.string().optional(),
	DATA: z.array(item).optional(),
	transfer_items: z.array(item).optional(),
	items: z.array(item).optional(),
	label: z.string().nullable().optional(),
	/** A position in the list of levels, or its word. */
	sync_level: z
		.union([z.int(), z.enum(["exists", "size", "mtime", "checksum"])])
		.nullable()
		.optional(),
	verify_checksum: z.boolean().optional(),
	verify: z.enum(verifyLevels).optional(),
	preserve_timestamp: z.boolean().optional(),
	delete_destination_extra: z.boolean().optional(),
	skip_source_errors: z.boolean().optional(),
	recursive_symlinks: z.string().optional(),
	filter_rules: z.array(rule).nullable().optional(),
	deadline: z.string().nullable().optional(),
	route: z.string().optional(),
});

const levels = ["exists", "size", "mtime", "checksum"] as const;

/** Throws an Error that says what does not fit. `label`: of a body that has none. */
export function readTransferBody(body: Json, label: string): Submission {
	const { source_endpoint, source_endpoint_id, destination_endpoint, destination_endpoint_id, ...told } = parsed(
		document,
		body,
	);
	const { DATA, transfer_items, items, sync_level, verify_checksum, verify, deadline, filter_rules, ...rest } = told;
	const lists = [DATA, transfer_items, items].filter((list) => list !== undefined);
	if (lists.length !== 1) throw new Error("the body of the transfer action has its items once: as DATA");
	const kept = Object.fromEntries(Object.entries(rest).filter(([name]) => !Object.hasOwn(besides, name)));
	return parsed(transferSubmission, {
		...kept,
		label: rest.label ?? label,
		source_endpoint: (source_endpoint ?? source_endpoint_id) as string,
		destination_endpoint: (destination_endpoint ?? destination_endpoint_id) as string,
		items: lists[0] as TransferSubmission["items"],
		...(sync_level !== undefined &&
			sync_level !== null && {
				sync_level: typeof sync_level === "string" ? levels.indexOf(sync_level) : sync_level,
			}),
		...((verify !== undefined || verify_checksum !== undefined) && {
			verify: verify ?? (verify_checksum ? "wire" : "off"),
		}),
		...(deadline && { deadline }),
		...(filter_rules && { filter_rules }),
	});
}

function parsed<S extends z.ZodType>(schema: S, body: unknown): z.output<S> {
	const outcome = schema.safeParse(body);
	if (outcome.success) return outcome.data;
	const said = outcome.error.issues.slice(0, 5).map((issue) => `${issue.path.join(".") || "body"}: ${issue.message}`);
	throw new Error(`the body of the transfer action does not fit: ${said.join("; ")}`);
}
