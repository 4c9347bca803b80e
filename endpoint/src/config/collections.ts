/** Directories that transfers reach and tasks find: `collections` of config.yaml. */
import { isAbsolute } from "node:path";
import { collectionVariable, isCollectionName } from "@errand/proto";
import * as z from "zod";

const path = z.string().refine(isAbsolute, "an absolute path");
const guestRights = ["none", "read", "write"] as const;

/** `data: /lustre/data`, or with more to say. */
const collection = z.union([
	path.transform((text) => ({ path: text, read_only: false, guests: "none" as const })),
	z.strictObject({ path, read_only: z.boolean().default(false), guests: z.enum(guestRights).default("none") }),
]);

export const collectionSettings = {
	collections: z
		.record(z.string().refine(isCollectionName, "letters, digits, dots, dashes; up to 64"), collection)
		.default({})
		.superRefine((value, context) => {
			const variables = Map.groupBy(Object.keys(value), collectionVariable);
			for (const [variable, names] of variables)
				if (names.length > 1)
					context.addIssue({ code: "custom", message: `${names.join(" and ")} would both be ${variable} for tasks` });
		}),
	/** Where agents that fetch from here connect to; undefined: nowhere, everything goes by the cloud. */
	transfer_port: z.int().min(0).max(65_535).optional(),
	transfer_host: z.string().min(1).default("0.0.0.0"),
	transfer_addresses: z.array(z.string().min(1).max(255)).max(16).default([]),
	transfer_connections: z.int().min(1).max(64).default(4),
};

export interface CollectionConfig {
	readonly name: string;
	readonly path: string;
	readonly readOnly: boolean;
	/** What those may do with whom the endpoint is shared. */
	readonly guests: (typeof guestRights)[number];
}

export interface TransferConfig {
	/** Undefined: it takes no connections. */
	readonly port: number | undefined;
	readonly host: string;
	/** Names or addresses of this machine, as others reach it. Empty: its host name. */
	readonly addresses: readonly string[];
	/** Of one transfer. */
	readonly connections: number;
}

type Settings = z.output<z.ZodObject<typeof collectionSettings>>;

export function freezeCollections(value: Settings): {
	collections: readonly CollectionConfig[];
	transfer: TransferConfig;
} {
	const collections = Object.entries(value.collections).map(([name, { path, read_only: readOnly, guests }]) =>
		Object.freeze({ name, path, readOnly, guests }),
	);
	return {
		collections: Object.freeze(collections),
		transfer: Object.freeze({
			port: value.transfer_port,
			host: value.transfer_host,
			addresses: Object.freeze(value.transfer_addresses),
			connections: value.transfer_connections,
		}),
	};
}

/** The variables by which tasks find the collections. */
export const collectionEnvironment = (collections: readonly CollectionConfig[]): Record<string, string> =>
	Object.fromEntries(collections.map(({ name, path }) => [collectionVariable(name), path]));
