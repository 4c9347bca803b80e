/** A transfer with this computer at one end. */
import type { TransferDocument } from "@errand/proto/rest";
import type * as z from "zod";
import type { Context } from "./context.ts";
import { openOwnCollection } from "./own-collection.ts";
import { type transferOptionInput, transferOptionsOf } from "./transfer-options.ts";
import { followTransfer } from "./transfer-view.ts";

interface OwnMove {
	/** Of this computer: the collection's root for as long as it takes. */
	directory: string;
	readOnly: boolean;
	ends: (agentId: string) => {
		source_endpoint: string;
		destination_endpoint: string;
		source_path: string;
		destination_path: string;
	};
}

/** Until it is over. When the person says stop, or this end fails, it is cancelled: nobody else could go on with it. */
export async function moveOwn(
	context: Context,
	input: z.output<z.ZodObject<typeof transferOptionInput>>,
	{ directory, readOnly, ends }: OwnMove,
): Promise<TransferDocument> {
	const client = await context.client();
	const own = await openOwnCollection(context, client, { path: directory, readOnly });
	try {
		const { source_path, destination_path, ...endpoints } = ends(own.agentId);
		const submitted = await client.transfers.submit({
			...endpoints,
			items: [{ source_path, destination_path, recursive: input.recursive }],
			...transferOptionsOf(input, context.now()),
		});
		try {
			return await Promise.race([followTransfer(context, client, submitted.id), own.ended]);
		} catch (error) {
			await client.transfers.cancel(submitted.id).catch(() => undefined);
			throw error;
		}
	} finally {
		await own.close();
	}
}
