/** Lines between layers: down, across in a track of their own, and down; loops go up at the right of their boxes. */
import { arrowLabel, shortened } from "./label.ts";
import { type Cell, type Layers, type Line, laneOffset } from "./layers.ts";
import type { Metrics, Picture, Point, Route } from "./picture.ts";

/** A line's way from one layer to the next. */
interface Crossing {
	readonly line: Line;
	readonly x1: number;
	readonly x2: number;
	track: number;
}

/** Sets every cell's y. */
export function routeLines(graph: Layers, metrics: Metrics): Pick<Picture, "width" | "height" | "routes"> {
	const ports = portsOf(graph, metrics);
	const channels = graph.layers.map((_, layer) => channel(graph.lines, layer, ports, metrics));
	let y = 0;
	const tracksAt: number[] = [];
	for (const [layer, cells] of graph.layers.entries()) {
		const height = Math.max(...cells.map((cell) => cell.height));
		for (const cell of cells) cell.y = y;
		y += height;
		const crossings = channels[layer] ?? [];
		const labelled = crossings.some(
			({ line }) => !line.loops && line.chain[0]?.layer === layer && labelOf(line, metrics) !== "",
		);
		tracksAt[layer] = y + (labelled ? metrics.labelHeight : metrics.track);
		if (layer + 1 < graph.layers.length)
			y = tracksAt[layer] + metrics.track * Math.max(0, ...crossings.map(({ track }) => track + 1)) + metrics.arrow;
	}
	const routes = graph.lines.map((line) => routeOf(line, channels, tracksAt, ports, metrics));
	const xs = [
		...graph.layers.flat().map((cell) => cell.x + cell.right),
		...routes.map(({ label }) => (label ? label.x + metrics.textWidth(label.text, "label") : 0)),
	];
	return { routes, width: Math.max(...xs) + (metrics.whole ? 1 : 0), height: y };
}

/** Where each line leaves its upper cell; it arrives at the middle of the lower one. */
function portsOf(graph: Layers, metrics: Metrics): ReadonlyMap<Line, number> {
	const ports = new Map<Line, number>();
	const down = graph.lines.filter(({ loops }) => !loops);
	for (const [cell, lines] of Map.groupBy(down, ({ from }) => from)) {
		if (lines.length === 1) {
			const [line] = lines as [Line];
			ports.set(line, Math.abs(nextX(line) - cell.x) <= metrics.snap ? nextX(line) : cell.x);
			continue;
		}
		const widths = new Map(lines.map((line) => [line, portWidth(line, metrics)]));
		const total = [...widths.values()].reduce((sum, width) => sum + width, 0);
		let at = cell.x - total / 2;
		for (const line of lines.toSorted((a, b) => nextX(a) - nextX(b))) {
			const x = at + metrics.port / 2;
			const near = Math.abs(nextX(line) - x) <= metrics.snap ? nextX(line) : x;
			ports.set(line, metrics.whole ? Math.round(near) : near);
			at += widths.get(line) ?? 0;
		}
	}
	return ports;
}

/** Of a box's lower edge: the space of one line that leaves there, and of its label. */
export function portWidth(line: Line, metrics: Metrics): number {
	return metrics.port + metrics.textWidth(labelOf(line, metrics), "label");
}

const nextX = ({ chain }: Line): number => chain[1]?.x ?? 0;

/** What crosses from a layer to the next, each in a track where it covers no other. */
function channel(
	lines: readonly Line[],
	layer: number,
	ports: ReadonlyMap<Line, number>,
	metrics: Metrics,
): Crossing[] {
	const crossings = lines.flatMap((line): Crossing[] => {
		const i = layer - (line.chain[0]?.layer ?? 0);
		const [upper, lower] = [line.chain[i], line.chain[i + 1]];
		if (i < 0 || !upper || !lower) return [];
		const x1 = i > 0 ? upper.x : line.loops ? laneX(upper, line.toLane, metrics) : (ports.get(line) ?? upper.x);
		const x2 = line.loops && i + 2 === line.chain.length ? laneX(lower, line.fromLane, metrics) : lower.x;
		return [{ line, x1, x2, track: -1 }];
	});
	// What goes right is tracked from the right, what goes left from the left: then lines of a kind do not cross.
	const across = crossings.filter(({ x1, x2 }) => x1 !== x2);
	const right = across.filter(({ x1, x2 }) => x2 > x1).sort((a, b) => b.x1 - a.x1);
	const left = across.filter(({ x1, x2 }) => x2 < x1).sort((a, b) => a.x1 - b.x1);
	const placed: Crossing[] = [];
	for (const kind of [right, left])
		for (const crossing of kind) {
			const near = placed.filter((other) => overlap(other, crossing) && other.line.to !== crossing.line.to);
			const least = Math.max(-1, ...near.filter((other) => kind.includes(other)).map(({ track }) => track)) + 1;
			crossing.track = least;
			while (near.some(({ track }) => track === crossing.track)) crossing.track++;
			placed.push(crossing);
		}
	return crossings;
}

function overlap(a: Crossing, b: Crossing): boolean {
	return Math.max(Math.min(a.x1, a.x2), Math.min(b.x1, b.x2)) <= Math.min(Math.max(a.x1, a.x2), Math.max(b.x1, b.x2));
}

function laneX(cell: Cell, lane: number, metrics: Metrics): number {
	return cell.x + laneOffset(cell, lane, metrics.lane);
}

function routeOf(
	line: Line,
	channels: readonly Crossing[][],
	tracksAt: readonly number[],
	ports: ReadonlyMap<Line, number>,
	metrics: Metrics,
): Route {
	const points: Point[] = [];
	const [upper] = line.chain as readonly [Cell];
	const lower = line.chain.at(-1) as Cell;
	const middle = (cell: Cell, more = 0): number => {
		const half = Math.min(cell.height, metrics.boxHeight) / 2;
		return cell.y + (metrics.whole ? Math.floor(half) : half + more);
	};
	const bottom = (cell: Cell): number => cell.y + cell.height - (metrics.whole ? 1 : 0);
	const edge = (cell: Cell): number => cell.x + cell.left;
	if (line.loops)
		points.push([edge(upper), middle(upper, -4)], [laneX(upper, line.toLane, metrics), middle(upper, -4)]);
	else points.push([ports.get(line) ?? upper.x, bottom(upper)]);
	for (let layer = upper.layer; layer < lower.layer; layer++) {
		const crossing = channels[layer]?.find((each) => each.line === line);
		if (!crossing || crossing.x1 === crossing.x2) continue;
		const y = (tracksAt[layer] ?? 0) + crossing.track * metrics.track;
		points.push([crossing.x1, y], [crossing.x2, y]);
	}
	if (line.loops)
		points.push([laneX(lower, line.fromLane, metrics), middle(lower, 4)], [edge(lower), middle(lower, 4)]);
	else points.push([lower.x, lower.y]);
	const text = labelOf(line, metrics);
	const x = ports.get(line) ?? laneX(line.from, line.fromLane, metrics);
	const y = line.loops ? middle(line.from, 4) : bottom(line.from);
	return {
		from: line.from.state?.name ?? "",
		to: line.to.state?.name ?? "",
		kind: line.arrow?.kind ?? "next",
		points: line.loops ? points.reverse() : points,
		label: text === "" ? undefined : { text, x, y },
	};
}

function labelOf({ arrow, from }: Line, { labelLimitChars }: Metrics): string {
	return arrow && from.state ? shortened(arrowLabel(from.state, arrow), labelLimitChars) : "";
}
