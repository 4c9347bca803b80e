/** The order of cells within layers, so that few lines cross: each goes to the middle of its neighbours, layer by layer. */
import type { Cell, Layers } from "./layers.ts";

/** Rounds of sweeps down and up; the best order seen is kept. */
const rounds = 12;

/** Above this many cells crossings are not counted any more: the drawing is unreadable anyway, and has to end. */
const countedCells = 2_000;

/** Reorders the layers in place. */
export function orderLayers({ layers, lines }: Layers): void {
	const steps = lines.flatMap(({ chain }) => chain.slice(1).map((lower, i) => [chain[i] as Cell, lower] as const));
	const below = neighbours(steps);
	const above = neighbours(steps.map(([upper, lower]) => [lower, upper] as const));
	depthFirst(layers, below);
	if (layers.reduce((sum, layer) => sum + layer.length, 0) > countedCells) return;
	let best = layers.map((layer) => [...layer]);
	let fewest = crossings(layers, below);
	for (let round = 0; round < rounds && fewest > 0; round++) {
		sweep(layers.slice(1), above, layers);
		sweep(layers.slice(0, -1).reverse(), below, layers);
		swapNeighbours(layers, above, below);
		const count = crossings(layers, below);
		if (count >= fewest) continue;
		fewest = count;
		best = layers.map((layer) => [...layer]);
	}
	for (const [i, layer] of best.entries()) layers[i] = layer;
}

type Neighbours = ReadonlyMap<Cell, readonly Cell[]>;

function neighbours(steps: readonly (readonly [Cell, Cell])[]): Neighbours {
	const found = new Map<Cell, Cell[]>();
	for (const [from, to] of steps) {
		const list = found.get(from);
		if (list) list.push(to);
		else found.set(from, [to]);
	}
	return found;
}

/** The order in which the document's arrows reach the cells: the plain way on is at the left. */
function depthFirst(layers: Cell[][], below: Neighbours): void {
	const seen = new Map<Cell, number>();
	const open = [...(layers[0] ?? [])];
	for (let each = open.pop(); each; each = open.pop()) {
		if (seen.has(each)) continue;
		seen.set(each, seen.size);
		open.push(...(below.get(each) ?? []).toReversed());
	}
	for (const layer of layers) layer.sort((a, b) => (seen.get(a) ?? 0) - (seen.get(b) ?? 0));
}

function sweep(changed: Cell[][], fixed: Neighbours, layers: readonly Cell[][]): void {
	for (const layer of changed) {
		const places = placesOf(layers);
		const wish = new Map(
			layer.map((each, i) => {
				const others = fixed.get(each) ?? [];
				return [
					each,
					others.length === 0 ? i : others.reduce((sum, other) => sum + (places.get(other) ?? 0), 0) / others.length,
				];
			}),
		);
		layer.sort((a, b) => (wish.get(a) ?? 0) - (wish.get(b) ?? 0));
	}
}

function placesOf(layers: readonly (readonly Cell[])[]): ReadonlyMap<Cell, number> {
	return new Map(layers.flatMap((layer) => layer.map((each, i) => [each, i] as const)));
}

/** Two cells side by side change places when fewer of their own lines cross then. */
function swapNeighbours(layers: readonly Cell[][], above: Neighbours, below: Neighbours): void {
	const places = new Map(placesOf(layers));
	const between = (a: Cell, b: Cell, others: Neighbours): number => {
		let count = 0;
		for (const x of others.get(a) ?? [])
			for (const y of others.get(b) ?? []) if ((places.get(x) ?? 0) > (places.get(y) ?? 0)) count++;
		return count;
	};
	for (const layer of layers)
		for (let i = 0; i + 1 < layer.length; i++) {
			const [a, b] = [layer[i] as Cell, layer[i + 1] as Cell];
			const now = between(a, b, above) + between(a, b, below);
			if (between(b, a, above) + between(b, a, below) >= now) continue;
			[layer[i], layer[i + 1]] = [b, a];
			places.set(a, i + 1).set(b, i);
		}
}

function crossings(layers: readonly (readonly Cell[])[], below: Neighbours): number {
	const places = placesOf(layers);
	let count = 0;
	for (const layer of layers) {
		const ends: number[] = [];
		for (const each of layer) {
			const targets = (below.get(each) ?? []).map((other) => places.get(other) ?? 0);
			for (const target of targets) for (const end of ends) if (end > target) count++;
			ends.push(...targets);
		}
	}
	return count;
}
