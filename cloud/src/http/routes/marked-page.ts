/** Pages as the public interface's flow service has them: a marker, and whether there is more. */
import type { Page } from "@errand/proto/rest";
import * as z from "zod";

export const markedQuery = <Shape extends z.core.$ZodLooseShape>(more: Shape, most = 100, usual = 20) => {
	const size = z
		.string()
		.regex(/^\d{1,3}$/, "is not a whole number")
		.transform(Number)
		.pipe(z.number().min(1).max(most));
	return z.strictObject({
		limit: size.default(usual),
		marker: z.string().min(1).max(1024).optional(),
		...more,
	});
};

export const marked = (query: { limit: number; marker?: string | undefined }): { limit: number; cursor?: string } => ({
	limit: query.limit,
	...(query.marker !== undefined && { cursor: query.marker }),
});

export function toMarked<Key extends string, Item>(key: Key, page: Page<Item>, limit: number) {
	return {
		[key]: page.items,
		limit,
		has_next_page: page.next_cursor !== null,
		marker: page.next_cursor,
	} as { [K in Key]: Item[] } & { limit: number; has_next_page: boolean; marker: string | null };
}
