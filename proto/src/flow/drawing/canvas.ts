/** Characters in rows and columns, on which lines join where they meet. */

const [up, down, left, right] = [1, 2, 4, 8] as const;

/** By which sides are joined. */
const joints = " ╵╷│╴╯╮┤╶╰╭├─┴┬┼";
const doubted = " ╵╷┆╴╯╮┤╶╰╭├┄┴┬┼";

export class Canvas {
	readonly #letters: string[][] = [];
	readonly #joins: number[][] = [];
	readonly #dashed: boolean[][] = [];

	text(x: number, y: number, text: string): void {
		for (const [i, letter] of [...text].entries()) this.#row(this.#letters, y)[x + i] = letter;
	}

	box(x: number, y: number, width: number, height: number): void {
		const [endX, endY] = [x + width - 1, y + height - 1];
		for (const row of [y, endY]) this.line([x, row], [endX, row], false);
		for (const column of [x, endX]) this.line([column, y], [column, endY], false);
	}

	/** Straight, up or across. Both ends join what is there. */
	line([x1, y1]: readonly [number, number], [x2, y2]: readonly [number, number], dashed: boolean): void {
		const [dx, dy] = [Math.sign(x2 - x1), Math.sign(y2 - y1)];
		for (let [x, y] = [x1, y1]; x !== x2 || y !== y2; x += dx, y += dy) {
			this.#join(x, y, dx > 0 ? right : dx < 0 ? left : dy > 0 ? down : up, dashed);
			this.#join(x + dx, y + dy, dx > 0 ? left : dx < 0 ? right : dy > 0 ? up : down, dashed);
		}
	}

	lines(): readonly string[] {
		const height = Math.max(this.#letters.length, this.#joins.length);
		return Array.from({ length: height }, (_, y) => {
			const width = Math.max(this.#letters[y]?.length ?? 0, this.#joins[y]?.length ?? 0);
			const letter = (x: number): string => this.#letters[y]?.[x] ?? this.#joint(x, y);
			return Array.from({ length: width }, (__, x) => letter(x))
				.join("")
				.trimEnd();
		});
	}

	#joint(x: number, y: number): string {
		return (this.#dashed[y]?.[x] ? doubted : joints)[this.#joins[y]?.[x] ?? 0] ?? " ";
	}

	#join(x: number, y: number, side: number, dashed: boolean): void {
		const row = this.#row(this.#joins, y);
		row[x] = (row[x] ?? 0) | side;
		this.#row(this.#dashed, y)[x] ??= dashed;
	}

	#row<T>(rows: T[][], y: number): T[] {
		rows[y] ??= [];
		return rows[y];
	}
}
