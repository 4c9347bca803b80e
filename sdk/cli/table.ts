/** Columns of text for people. */
import { stripVTControlCharacters } from "node:util";

export interface Column<Row> {
	title: string;
	/** Text may carry colour. */
	cell: (row: Row) => string;
	/** Numbers are read by their last digit. */
	align?: "right";
}

const width = (text: string): number => [...stripVTControlCharacters(text)].length;

/** Lines without trailing blanks; the first one is the titles. */
export function formatTable<Row>(
	rows: readonly Row[],
	columns: readonly Column<Row>[],
	title: (text: string) => string = (text) => text,
): string {
	const body = rows.map((row) => columns.map((column) => oneLine(column.cell(row))));
	const widths = columns.map((column, at) =>
		Math.max(width(column.title), ...body.map((cells) => width(cells[at] ?? ""))),
	);
	const line = (cells: readonly string[]): string =>
		cells
			.map((cell, at) => {
				const blanks = " ".repeat(Math.max(0, (widths[at] ?? 0) - width(cell)));
				return columns[at]?.align === "right" ? blanks + cell : cell + blanks;
			})
			.join("  ")
			.trimEnd();
	return [line(columns.map((column) => title(column.title.toUpperCase()))), ...body.map(line)].join("\n");
}

/** `name  value` pairs under one another; pairs without a value are left out. */
export function formatPairs(
	pairs: readonly (readonly [name: string, value: string | undefined])[],
	title: (text: string) => string = (text) => text,
): string {
	const shown = pairs.filter((pair): pair is readonly [string, string] => pair[1] !== undefined && pair[1] !== "");
	const widest = Math.max(0, ...shown.map(([name]) => width(name)));
	return shown
		.map(([name, value]) => {
			const indented = printable(value).replaceAll("\n", `\n${" ".repeat(widest + 2)}`);
			return `${title(name)}${" ".repeat(widest - width(name) + 2)}${indented}`.trimEnd();
		})
		.join("\n");
}

/** Text from elsewhere may not steer the terminal: control characters other than colour, tab and newline become `?`. */
export function printable(text: string): string {
	// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
	return text.replace(/\u001b(?!\[[0-9;]*m)|[\u0000-\u0008\u000b-\u001a\u001c-\u001f\u007f-\u009f]/g, "?");
}

function oneLine(text: string): string {
	return printable(text).replace(/[\n\t]+/g, " ");
}
