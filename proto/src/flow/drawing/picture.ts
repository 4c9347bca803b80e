/** Boxes and lines with their coordinates: what both drawings, on paper and in a terminal, are made of. */
import type { StateGraph } from "../definition.ts";
import { innerGraphs } from "../graph.ts";
import { caption, shortened } from "./label.ts";
import { type Cell, type Line, layerGraph } from "./layers.ts";
import { orderLayers } from "./order.ts";
import { placeCells } from "./place.ts";
import { portWidth, routeLines } from "./route.ts";

/** Lengths in the drawing's own unit: pixels, or characters. */
export interface Metrics {
	/** Coordinates are whole numbers, and boxes have a middle column. */
	readonly whole: boolean;
	readonly textWidth: (text: string, of: "name" | "caption" | "label") => number;
	readonly nameLimitChars: number;
	readonly labelLimitChars: number;
	/** Whether boxes say what they do under their names. */
	readonly captions: boolean;
	readonly boxHeight: number;
	readonly boxPadding: number;
	readonly boxMinWidth: number;
	readonly dotSize: number;
	/** Between cells of a layer. */
	readonly gap: number;
	/** Between loops at the right side of a box. */
	readonly lane: number;
	/** Between lines that run side by side between two layers. */
	readonly track: number;
	/** A label under a box, and the space before an arrow's point. */
	readonly labelHeight: number;
	readonly arrow: number;
	/** Around the contents of a frame, and its title. */
	readonly framePadding: number;
	readonly frameTitle: number;
	/** Between two lines that leave a box. */
	readonly port: number;
	/** A line that would go so little to a side goes straight. */
	readonly snap: number;
}

export interface Box {
	readonly kind: "state" | "start" | "end";
	readonly name: string;
	readonly type: string;
	readonly caption: string;
	readonly x: number;
	readonly y: number;
	readonly width: number;
	readonly height: number;
	/** It has graphs in it: a Parallel or a Map. */
	readonly frame: boolean;
}

export interface Route {
	/** Names of states; "" for the beginning and the end. */
	readonly from: string;
	readonly to: string;
	readonly kind: "next" | "choice" | "default" | "catch";
	readonly points: readonly Point[];
	readonly label: { readonly text: string; readonly x: number; readonly y: number } | undefined;
}

export type Point = readonly [x: number, y: number];

export interface Picture {
	readonly width: number;
	readonly height: number;
	/** Frames before what is in them. */
	readonly boxes: readonly Box[];
	readonly routes: readonly Route[];
}

/** Undefined when it, or a graph within it, is too tangled to be drawn. */
export function layOut(graph: StateGraph, metrics: Metrics): Picture | undefined {
	const layers = layerGraph(graph);
	if (!layers) return undefined;
	const inner = new Map<Cell, readonly Picture[]>();
	const outgoing = Map.groupBy(
		layers.lines.filter(({ loops }) => !loops),
		({ from }) => from,
	);
	for (const cell of layers.layers.flat()) {
		const pictures = cell.state ? innerGraphs(cell.state).map((each) => layOut(each, metrics)) : [];
		if (!pictures.every((picture) => picture !== undefined)) return undefined;
		inner.set(cell, pictures);
		measure(cell, pictures, portsWidth(outgoing.get(cell) ?? [], metrics), metrics);
	}
	assignLanes(layers.lines, metrics);
	orderLayers(layers);
	placeCells(layers, metrics);
	const { routes, width, height } = routeLines(layers, metrics);
	const boxes = layers.layers.flat().flatMap((cell) => boxesOf(cell, inner.get(cell) ?? [], metrics));
	return {
		width,
		height,
		boxes: boxes.flatMap(({ boxes: own }) => own),
		routes: [...routes, ...boxes.flatMap(({ routes: own }) => own)],
	};
}

function measure(cell: Cell, inner: readonly Picture[], ports: number, metrics: Metrics): void {
	const { boxPadding, boxHeight, boxMinWidth, dotSize, framePadding, frameTitle, gap, whole } = metrics;
	if (cell.kind === "bend") return;
	if (!cell.state) [cell.width, cell.height] = [dotSize, dotSize];
	else {
		const name = metrics.textWidth(shortened(cell.state.name, metrics.nameLimitChars), "name");
		const says = metrics.captions
			? metrics.textWidth(shortened(caption(cell.state), metrics.nameLimitChars), "caption")
			: 0;
		const contents =
			inner.reduce((sum, { width }) => sum + width, 0) + gap * Math.max(0, inner.length - 1) + 2 * framePadding;
		cell.width = Math.max(boxMinWidth, Math.max(name, says) + 2 * boxPadding, ports, inner.length > 0 ? contents : 0);
		if (whole && cell.width % 2 === 0) cell.width++;
		cell.height =
			inner.length > 0 ? frameTitle + Math.max(...inner.map(({ height }) => height)) + framePadding : boxHeight;
	}
	cell.left = whole ? (cell.width - 1) / 2 : cell.width / 2;
	cell.right = cell.left;
}

/** Room for the labels of the lines that leave a box, each under its own part of the edge. */
function portsWidth(lines: readonly Line[], metrics: Metrics): number {
	if (lines.length < 2) return 0;
	return lines.reduce((sum, line) => sum + portWidth(line, metrics), 0);
}

/** Loops leave and arrive at the right side of boxes, each in a lane of its own. */
function assignLanes(lines: readonly Line[], { lane }: Metrics): void {
	const used = new Map<Cell, number>();
	const take = (cell: Cell): number => {
		const count = used.get(cell) ?? 0;
		used.set(cell, count + 1);
		cell.right += lane;
		return count;
	};
	for (const line of lines) {
		if (!line.loops) continue;
		line.toLane = take(line.to);
		line.fromLane = line.from === line.to ? line.toLane : take(line.from);
	}
}

function boxesOf(cell: Cell, inner: readonly Picture[], metrics: Metrics): Pick<Picture, "boxes" | "routes"> {
	if (cell.kind === "bend") return { boxes: [], routes: [] };
	const half = metrics.whole ? (cell.width - 1) / 2 : cell.width / 2;
	const { name = "", type = cell.kind } = cell.state ?? {};
	const x = cell.x - half;
	const own: Box = {
		kind: cell.kind,
		name,
		type,
		caption: cell.state ? caption(cell.state) : "",
		x,
		y: cell.y,
		width: cell.width,
		height: cell.height,
		frame: inner.length > 0,
	};
	const contents = inner.reduce((sum, { width }) => sum + width, 0) + metrics.gap * (inner.length - 1);
	let at = x + (metrics.whole ? Math.floor((cell.width - contents) / 2) : (cell.width - contents) / 2);
	const shifted = inner.map((picture) => {
		const moved = shift(picture, at, cell.y + metrics.frameTitle);
		at += picture.width + metrics.gap;
		return moved;
	});
	return {
		boxes: [own, ...shifted.flatMap(({ boxes }) => boxes)],
		routes: shifted.flatMap(({ routes }) => routes),
	};
}

function shift({ boxes, routes }: Picture, dx: number, dy: number): Pick<Picture, "boxes" | "routes"> {
	return {
		boxes: boxes.map((box) => ({ ...box, x: box.x + dx, y: box.y + dy })),
		routes: routes.map((route) => ({
			...route,
			points: route.points.map(([x, y]) => [x + dx, y + dy] as const),
			label: route.label && { ...route.label, x: route.label.x + dx, y: route.label.y + dy },
		})),
	};
}
