/** Where cells stand in their layers: near the middle of their neighbours, in order, and not over one another. */
import { type Cell, type Layers, type Line, laneOffset } from "./layers.ts";

const sweeps = 16;

interface Spacing {
	readonly gap: number;
	readonly whole: boolean;
	readonly snap: number;
	readonly lane: number;
}

/** What draws a cell to where another is, so far to its side. */
interface Pull {
	readonly to: Cell;
	readonly aside: number;
	readonly weight: number;
}

/** Sets every cell's x, from 0 at the left; whole numbers when `whole`. The layers' order stays. */
export function placeCells({ layers, lines }: Layers, { gap, whole, snap, lane }: Spacing): void {
	for (const layer of layers) pack(layer, gap, new Map());
	const pulls = pullsOf(lines, lane);
	for (let round = 0; round < sweeps; round++) {
		const order = round % 2 === 0 ? layers : layers.toReversed();
		for (const layer of order)
			pack(layer, gap, wishes(layer, pulls, round === sweeps - 1 ? undefined : layer[0]?.layer, round));
	}
	for (const line of lines)
		for (const [i, lower] of line.chain.slice(1).entries()) {
			const upper = line.chain[i] as Cell;
			const x = upper.x + aside(line, i, lane);
			if (lower.kind === "bend" && Math.abs(lower.x - x) <= snap) lower.x = x;
		}
	const least = Math.min(...layers.flat().map(({ x, left }) => x - left));
	for (const layer of layers) {
		let edge = 0;
		for (const each of layer) {
			each.x -= least;
			if (!whole) continue;
			each.x = Math.max(Math.round(each.x), edge + each.left);
			edge = each.x + each.right + gap;
		}
	}
}

type Pulls = ReadonlyMap<Cell, readonly Pull[]>;

function pullsOf(lines: readonly Line[], lane: number): Pulls {
	const pulls = new Map<Cell, Pull[]>();
	const pull = (cell: Cell, more: Pull): void => {
		pulls.set(cell, [...(pulls.get(cell) ?? []), more]);
	};
	for (const line of lines)
		for (const [i, lower] of line.chain.slice(1).entries()) {
			const upper = line.chain[i] as Cell;
			// A long line is to be straight, the plain way on as well; a loop goes where there is room.
			const bends = Number(upper.kind === "bend") + Number(lower.kind === "bend");
			const { arrow, loops } = line;
			const plain = arrow === undefined || arrow.kind === "next" || (arrow.kind === "choice" && arrow.rule === 0);
			const weight = loops ? 0.2 : ([plain ? 2 : 1, 2, 8][bends] ?? 1);
			const toRight = aside(line, i, lane) - aside(line, i + 1, lane);
			pull(upper, { to: lower, aside: -toRight, weight });
			pull(lower, { to: upper, aside: toRight, weight });
		}
	return pulls;
}

/** How far beside the middle of a cell of its chain a line passes: loops have their lanes at the two ends. */
function aside({ loops, chain, toLane, fromLane }: Line, i: number, lane: number): number {
	const cell = chain[i];
	if (!loops || cell?.kind !== "state") return 0;
	return laneOffset(cell, i === 0 ? toLane : fromLane, lane);
}

interface Wish {
	readonly x: number;
	readonly weight: number;
}

/** The weighted middle of the neighbours: of the layer before in the sweep, in the last of both. */
function wishes(layer: readonly Cell[], pulls: Pulls, at: number | undefined, round: number): ReadonlyMap<Cell, Wish> {
	const found = new Map<Cell, Wish>();
	for (const each of layer) {
		const all = pulls.get(each) ?? [];
		const before = all.filter(({ to }) => at === undefined || (round % 2 === 0 ? to.layer < at : to.layer > at));
		const used = before.length > 0 ? before : all;
		const weight = used.reduce((sum, pull) => sum + pull.weight, 0);
		if (weight > 0)
			found.set(each, {
				x: used.reduce((sum, pull) => sum + pull.weight * (pull.to.x + pull.aside), 0) / weight,
				weight,
			});
	}
	return found;
}

/**
 * Each cell as near to its wish as the order and the gaps allow: least squares. Cells that would come too close are one
 * block, which stands where the mean of its members' wishes is.
 */
function pack(layer: readonly Cell[], gap: number, wish: ReadonlyMap<Cell, Wish>): void {
	const blocks: { cells: { cell: Cell; offset: number }[]; sum: number; weight: number }[] = [];
	let offset = 0;
	for (const [i, each] of layer.entries()) {
		const before = layer[i - 1];
		if (before) offset += before.right + gap + each.left;
		const { x, weight } = wish.get(each) ?? { x: each.x, weight: 0.01 };
		blocks.push({ cells: [{ cell: each, offset }], sum: (x - offset) * weight, weight });
		for (
			let last = blocks.at(-1), other = blocks.at(-2);
			last && other && other.sum / other.weight > last.sum / last.weight;
			last = blocks.at(-1), other = blocks.at(-2)
		) {
			blocks.pop();
			other.cells.push(...last.cells);
			other.sum += last.sum;
			other.weight += last.weight;
		}
	}
	for (const { cells, sum, weight } of blocks) for (const { cell, offset: own } of cells) cell.x = sum / weight + own;
}
