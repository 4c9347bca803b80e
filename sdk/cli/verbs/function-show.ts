import { splitBuffer, splitSource, unpack } from "@errand/proto";
import * as z from "zod";
import { selectFunction } from "../selector.ts";
import { verb } from "../verb.ts";

const shown = z.object({
	id: z.uuid(),
	name: z.string(),
	description: z.string().nullable(),
	/** The two-character id of how the code is written down. */
	serialization: z.string(),
	/** Readable code; null when it is not text (pickled Python). */
	code: z.string().nullable(),
});

export const functionShow = verb({
	name: "function show",
	summary: "Show a function and its code",
	arguments: [{ name: "function", summary: "id, its first characters, or name", completes: "function" }],
	examples: [["errand function show mean", "name, id and source"]],
	input: z.object({ function: z.string() }),
	output: shown,
	json: "document",
	show: (row, screen) => {
		screen.pairs([
			["function", row.id],
			["name", row.name],
			["description", row.description ?? undefined],
			["written as", languages[row.serialization] ?? `serialization ${row.serialization}`],
		]);
		screen.line(row.code === null ? "\n(pickled code: only Python can read it)" : `\n${row.code.trimEnd()}`);
	},
	ids: (row) => [row.id],
	async *run(context, input) {
		const client = await context.client();
		const row = await client.getFunction(await selectFunction(client, input.function));
		yield {
			id: row.function_uuid,
			name: row.function_name,
			description: row.description ?? null,
			...readableCode(row.function_code),
		};
	},
});

const languages: Readonly<Record<string, string>> = {
	st: "Python source",
	ej: "JavaScript source",
	ec: "a command template",
	"01": "pickled Python",
};

const sourceIds = new Set(["st", "ej"]);

function readableCode(packed: string): { serialization: string; code: string | null } {
	const { id, content } = splitBuffer(unpack(packed)[0] ?? "");
	if (sourceIds.has(id)) return { serialization: id, code: splitSource(content).source };
	return { serialization: id, code: id === "ec" ? content : null };
}
