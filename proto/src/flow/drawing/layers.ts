/** A graph of states as layers from top to bottom: who is in which, and through which a line passes. */
import type { FlowState, StateGraph } from "../definition.ts";
import { type Arrow, arrowsOf } from "../graph.ts";

/** A place in a layer: a state, the beginning, the end, or where a line passes. */
export interface Cell {
	readonly kind: "state" | "start" | "end" | "bend";
	readonly state: FlowState | undefined;
	layer: number;
	/** Of its box, and how far its place goes to both sides of the middle: to the right there may be lanes of loops. */
	width: number;
	height: number;
	left: number;
	right: number;
	/** The middle. */
	x: number;
	/** The upper edge. */
	y: number;
}

/** An arrow as it is drawn: from the upper cell to the lower one. */
export interface Line {
	readonly arrow: Arrow | undefined;
	readonly from: Cell;
	readonly to: Cell;
	/** It goes up, or to itself: it leaves and arrives at the right side. */
	readonly loops: boolean;
	/** From the upper cell to the lower one, with what it passes between. */
	chain: readonly Cell[];
	/** Which of the loops at the two ends, from 0. */
	fromLane: number;
	toLane: number;
}

export interface Layers {
	readonly layers: Cell[][];
	readonly lines: readonly Line[];
}

/** From the middle of a box to one of the lanes at its right. */
export function laneOffset(cell: Cell, lane: number, width: number): number {
	return cell.left + (lane + 1) * width;
}

/** Lines that pass through more layers than this, all together, are a tangle: nobody could read it. */
const passedLayers = 20_000;

/** Undefined when it is too tangled to be drawn. */
export function layerGraph(graph: StateGraph): Layers | undefined {
	const start = cell("start");
	const end = cell("end");
	const cells = new Map([...graph.states].map(([name, state]) => [name, cell("state", state)]));
	const first = cells.get(graph.startAt);
	const lines: Line[] = first ? [line(undefined, start, first, false)] : [];
	const arrows = new Map([...graph.states].map(([name, state]) => [name, arrowsOf(state)]));
	const loops = loopingArrows(graph.startAt, arrows);
	for (const [name, state] of graph.states)
		for (const arrow of arrows.get(name) ?? []) {
			const to = arrow.to === undefined ? end : cells.get(arrow.to);
			if (!to || (arrow.to === undefined && state.type === "Fail")) continue;
			lines.push(line(arrow, cells.get(name) as Cell, to, loops.has(arrow)));
		}
	const ended = lines.some(({ to }) => to === end);
	const all = [start, ...cells.values(), ...(ended ? [end] : [])];
	assignLayers(all, lines, end);
	const passed = lines.reduce((sum, { from, to }) => sum + Math.abs(to.layer - from.layer), 0);
	return passed > passedLayers ? undefined : { layers: collect(all, lines), lines };
}

function cell(kind: Cell["kind"], state?: FlowState): Cell {
	return { kind, state, layer: 0, width: 0, height: 0, left: 0, right: 0, x: 0, y: 0 };
}

function line(arrow: Arrow | undefined, from: Cell, to: Cell, loops: boolean): Line {
	return { arrow, from, to, loops, chain: [], fromLane: 0, toLane: 0 };
}

/** Arrows that lead to where the way came from. Without recursion: a flow may be a thousand states long. */
function loopingArrows(startAt: string, arrows: ReadonlyMap<string, readonly Arrow[]>): ReadonlySet<Arrow> {
	const loops = new Set<Arrow>();
	const done = new Set<string>();
	const above = new Set([startAt]);
	const visit = (name: string) => ({ name, arrows: [...(arrows.get(name) ?? [])] });
	const way = [visit(startAt)];
	for (let top = way.at(-1); top; top = way.at(-1)) {
		const arrow = top.arrows.shift();
		if (!arrow) {
			done.add(top.name);
			above.delete(top.name);
			way.pop();
		} else if (arrow.to !== undefined && above.has(arrow.to)) loops.add(arrow);
		else if (arrow.to !== undefined && !done.has(arrow.to)) {
			above.add(arrow.to);
			way.push(visit(arrow.to));
		}
	}
	return loops;
}

/** Each cell below all that lead to it; the end below everything. */
function assignLayers(cells: readonly Cell[], lines: readonly Line[], end: Cell): void {
	const down = lines.filter(({ loops }) => !loops);
	const open = new Map(cells.map((each) => [each, down.filter(({ to }) => to === each).length]));
	const ready = cells.filter((each) => open.get(each) === 0);
	for (const from of ready)
		for (const { to } of down.filter((each) => each.from === from)) {
			to.layer = Math.max(to.layer, from.layer + 1);
			const left = (open.get(to) ?? 0) - 1;
			open.set(to, left);
			if (left === 0) ready.push(to);
		}
	end.layer = Math.max(...cells.filter((each) => each !== end).map(({ layer }) => layer)) + 1;
}

function collect(cells: readonly Cell[], lines: readonly Line[]): Cell[][] {
	const layers: Cell[][] = Array.from({ length: Math.max(...cells.map(({ layer }) => layer)) + 1 }, () => []);
	for (const each of cells) layers[each.layer]?.push(each);
	for (const each of lines) {
		const [upper, lower] = each.loops ? [each.to, each.from] : [each.from, each.to];
		const bends: Cell[] = [];
		for (let layer = upper.layer + 1; layer < lower.layer; layer++) {
			const bend = cell("bend");
			bend.layer = layer;
			layers[layer]?.push(bend);
			bends.push(bend);
		}
		each.chain = upper === lower ? [upper] : [upper, ...bends, lower];
	}
	return layers;
}
