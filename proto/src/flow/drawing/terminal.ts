/** A flow in characters, for a terminal: boxes and lines when they fit, else a list of states and where they lead. */
import type { StateGraph } from "../definition.ts";
import { Canvas } from "./canvas.ts";
import { shortened } from "./label.ts";
import type { StateMarks } from "./mark.ts";
import { outline, titled } from "./outline.ts";
import { type Box, layOut, type Metrics, type Picture } from "./picture.ts";

/** Names and labels of at most so many characters, the widest drawing that fits is taken. */
const trials: readonly (readonly [nameChars: number, labelChars: number, gap: number])[] = [
	[36, 24, 4],
	[24, 16, 3],
	[16, 12, 2],
	[10, 8, 2],
];

/** Lines of at most `columns` characters. */
export function drawTerminal(graph: StateGraph, options: { columns: number; marks?: StateMarks }): readonly string[] {
	const { columns, marks } = options;
	for (const [nameLimitChars, labelLimitChars, gap] of trials) {
		const picture = layOut(graph, metricsOf(nameLimitChars, labelLimitChars, gap));
		if (picture === undefined) break;
		if (picture.width <= columns) return draw(picture, nameLimitChars, marks);
	}
	return outline(graph, marks).map((line) => shortened(line, columns));
}

function metricsOf(nameLimitChars: number, labelLimitChars: number, gap: number): Metrics {
	return {
		whole: true,
		// Two columns before the name are the mark's.
		textWidth: (text, of) => [...text].length + (of === "name" ? 2 : 0),
		nameLimitChars,
		labelLimitChars,
		captions: false,
		boxHeight: 3,
		boxPadding: 2,
		boxMinWidth: 7,
		dotSize: 1,
		gap,
		lane: 2,
		track: 1,
		labelHeight: 2,
		arrow: 1,
		framePadding: 2,
		frameTitle: 2,
		port: 3,
		snap: 1,
	};
}

function draw({ boxes, routes }: Picture, nameLimitChars: number, marks: StateMarks | undefined): readonly string[] {
	const canvas = new Canvas();
	for (const box of boxes) if (box.kind === "state") canvas.box(box.x, box.y, box.width, box.height);
	for (const { points, kind } of routes)
		for (const [i, point] of points.slice(1).entries())
			canvas.line(points[i] as readonly [number, number], point, kind === "catch");
	for (const { points } of routes) {
		const [x, y] = points.at(-1) as readonly [number, number];
		const [fromX] = points.at(-2) ?? [x, y];
		if (fromX > x) canvas.text(x + 1, y, "◀");
		else canvas.text(x, y - 1, "▼");
	}
	for (const box of boxes) drawBox(canvas, box, nameLimitChars, marks);
	for (const { label } of routes) if (label) canvas.text(label.x + 1, label.y + 1, label.text);
	return canvas.lines();
}

function drawBox(canvas: Canvas, box: Box, nameLimitChars: number, marks: StateMarks | undefined): void {
	if (box.kind !== "state") {
		canvas.text(box.x, box.y, box.kind === "start" ? "●" : "◉");
		return;
	}
	const name = titled(box.name, box.type, nameLimitChars, marks);
	const text = box.frame ? ` ${name} ` : name;
	const x = box.x + Math.max(1, Math.floor((box.width - [...text].length) / 2));
	canvas.text(x, box.y + (box.frame ? 0 : 1), shortened(text, box.width - 2));
}
