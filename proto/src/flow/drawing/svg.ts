/** A flow as a picture: a page of its own, or a part of one. */
import type { StateGraph } from "../definition.ts";
import { shortened } from "./label.ts";
import { markSigns, type StateMarks } from "./mark.ts";
import { outline } from "./outline.ts";
import { type Box, layOut, type Metrics, type Point, type Route } from "./picture.ts";

const sizes = { name: 13.5, caption: 11, label: 11 };

const metrics: Metrics = {
	whole: false,
	textWidth: (text, of) => widthOf(text) * sizes[of],
	nameLimitChars: 36,
	labelLimitChars: 24,
	captions: true,
	boxHeight: 46,
	boxPadding: 16,
	boxMinWidth: 96,
	dotSize: 14,
	gap: 36,
	lane: 18,
	track: 14,
	labelHeight: 26,
	arrow: 18,
	framePadding: 20,
	frameTitle: 50,
	port: 18,
	snap: 9,
};

/** Around the whole, in pixels. */
const margin = 24;

/** Where lines turn. */
const bendRadius = 8;

/** Colours by day and by night: of the page, boxes, text, lines, and of what is caught or failed. */
const style = `
svg.flow{--page:#fff;--box:#fff;--frame:#f6f8fa;--edge:#c4cdd8;--text:#17202c;--faint:#5f6c7b;--line:#7d8a99;--bad:#c0392b;--good:#1e8449;--busy:#1f6fd1;--wait:#b9770e;background:var(--page);font-family:system-ui,"DejaVu Sans",sans-serif}
@media (prefers-color-scheme:dark){svg.flow{--page:#10151c;--box:#1b232e;--frame:#151c25;--edge:#3a4757;--text:#e8edf3;--faint:#95a3b3;--line:#77869a;--bad:#ff7b6b;--good:#58c787;--busy:#6aaeff;--wait:#e0a94a}}
.flow .box{fill:var(--box);stroke:var(--edge);stroke-width:1.2}.flow .frame{fill:var(--frame);stroke-dasharray:none}
.flow .choice .box{fill:var(--frame)}.flow .name{fill:var(--text);font-size:${sizes.name}px;font-weight:600}
.flow .caption{fill:var(--faint);font-size:${sizes.caption}px}.flow .label{fill:var(--faint);font-size:${sizes.label}px;paint-order:stroke;stroke:var(--page);stroke-width:4px}
.flow .line{fill:none;stroke:var(--line);stroke-width:1.4}.flow .catch{stroke:var(--bad);stroke-dasharray:5 4}.flow .label.caught{fill:var(--bad)}
.flow .point{fill:var(--line)}.flow .point.caught{fill:var(--bad)}.flow .dot{fill:var(--line)}.flow .ring{fill:none;stroke:var(--line);stroke-width:1.4}
.flow .accent{fill:var(--edge)}.flow .action .accent{fill:var(--busy)}.flow .fail .accent{fill:var(--bad)}.flow .succeed .accent{fill:var(--good)}.flow .choice .accent,.flow .wait .accent{fill:var(--wait)}
.flow .waiting .box{stroke-dasharray:4 3}.flow .active .box{stroke:var(--busy);stroke-width:2.4}.flow .done .box{stroke:var(--good);stroke-width:1.8}.flow .failed .box{stroke:var(--bad);stroke-width:2.4}
.flow .skipped{opacity:.45}.flow .sign{font-size:${sizes.name}px;font-weight:700;text-anchor:end}.flow .active .sign{fill:var(--busy)}.flow .done .sign{fill:var(--good)}.flow .failed .sign{fill:var(--bad)}.flow .waiting .sign,.flow .skipped .sign{fill:var(--faint)}
`.trim();

/** A whole SVG document, without scripts and without anything from elsewhere. `title`: told to who cannot see it. */
export function drawSvg(graph: StateGraph, options: { marks?: StateMarks; title?: string } = {}): string {
	const { marks, title = "Flow" } = options;
	const picture = layOut(graph, metrics);
	if (!picture) return drawList(outline(graph, marks), title);
	const { boxes, routes, width, height } = picture;
	return page(width, height, title, [
		// Frames first: lines within them are over them, and boxes over lines.
		...boxes.filter(({ frame }) => frame).map((box) => drawBox(box, marks)),
		...routes.map(drawLine),
		...boxes.filter(({ frame }) => !frame).map((box) => drawBox(box, marks)),
		...routes.map(drawLabel),
	]);
}

function page(width: number, height: number, title: string, parts: readonly string[]): string {
	const [w, h] = [Math.ceil(width + 2 * margin), Math.ceil(height + 2 * margin)];
	return [
		`<svg xmlns="http://www.w3.org/2000/svg" class="flow" width="${w}" height="${h}" viewBox="${-margin} ${-margin} ${w} ${h}" role="img" aria-label="${escaped(title)}">`,
		`<title>${escaped(title)}</title>`,
		`<style>${style}</style>`,
		...parts,
		"</svg>",
		"",
	].join("\n");
}

/** Of a flow that is too tangled to be drawn. */
function drawList(lines: readonly string[], title: string): string {
	const lineHeight = 18;
	const texts = lines.map((line, i) => {
		const text = line.trimStart();
		return `<text class="caption" x="${8 * (line.length - text.length)}" y="${lineHeight * (i + 1)}">${escaped(text)}</text>`;
	});
	return page(900, lineHeight * lines.length, title, texts);
}

function drawBox(box: Box, marks: StateMarks | undefined): string {
	const { kind, x, y, width, height } = box;
	const [middle, radius] = [x + width / 2, width / 2];
	if (kind === "start")
		return `<circle class="dot" cx="${round(middle)}" cy="${round(y + radius)}" r="${round(radius - 1)}"/>`;
	if (kind === "end") {
		const centre = `cx="${round(middle)}" cy="${round(y + radius)}"`;
		return `<circle class="ring" ${centre} r="${round(radius)}"/><circle class="dot" ${centre} r="${round(radius - 3.5)}"/>`;
	}
	const mark = marks?.get(box.name);
	const rounding = box.type === "Choice" ? height / 2 : 8;
	const [left, top] = [round(x), round(y)];
	const name = shortened(box.name, metrics.nameLimitChars);
	const says = shortened(box.caption, metrics.nameLimitChars);
	const sign = mark
		? `<text class="sign" x="${round(x + width - 8)}" y="${round(y + 16)}">${markSigns[mark]}</text>`
		: "";
	const shape = `<rect class="box${box.frame ? " frame" : ""}" x="${left}" y="${top}" width="${round(width)}" height="${round(height)}" rx="${rounding}"/>`;
	const accent =
		box.frame || box.type === "Choice"
			? ""
			: `<rect class="accent" x="${left}" y="${round(y + 9)}" width="4" height="${height - 18}" rx="2"/>`;
	return [
		`<g class="${box.type.toLowerCase()}${mark ? ` ${mark}` : ""}" data-state="${escaped(box.name)}">`,
		`<title>${escaped(`${box.name}: ${box.caption}`)}</title>${shape}${accent}`,
		`<text class="name" text-anchor="middle" x="${round(middle)}" y="${round(y + 20)}">${escaped(name)}</text>`,
		`<text class="caption" text-anchor="middle" x="${round(middle)}" y="${round(y + 36)}">${escaped(says)}</text>${sign}</g>`,
	].join("");
}

function drawLine({ points, kind }: Route): string {
	const [x, y] = points.at(-1) as Point;
	const [fromX = x, fromY = y] = points.at(-2) ?? [];
	// The line ends where its point begins.
	const [dx, dy] = [Math.sign(x - fromX), Math.sign(y - fromY)];
	const line = `<path class="line${kind === "catch" ? " catch" : ""}" d="${rounded([...points.slice(0, -1), [x - dx * 7, y - dy * 7]])}"/>`;
	const wing = [
		round(x - dx * 8 + dy * 4),
		round(y - dy * 8 + dx * 4),
		round(x - dx * 8 - dy * 4),
		round(y - dy * 8 - dx * 4),
	];
	return `${line}<path class="point${kind === "catch" ? " caught" : ""}" d="M${round(x)} ${round(y)}L${wing[0]} ${wing[1]}L${wing[2]} ${wing[3]}Z"/>`;
}

function drawLabel({ label, kind }: Route): string {
	if (!label) return "";
	return `<text class="label${kind === "catch" ? " caught" : ""}" x="${round(label.x + 6)}" y="${round(label.y + 16)}">${escaped(label.text)}</text>`;
}

/** A way of straight parts with rounded turns. */
function rounded(points: readonly Point[]): string {
	const parts = points.map(([x, y], i): string => {
		const before = points[i - 1];
		const after = points[i + 1];
		if (!before) return `M${round(x)} ${round(y)}`;
		if (!after) return `L${round(x)} ${round(y)}`;
		const towards = ([toX, toY]: Point): Point => {
			const length = Math.hypot(toX - x, toY - y);
			const part = length === 0 ? 0 : Math.min(bendRadius, length / 2) / length;
			return [x + (toX - x) * part, y + (toY - y) * part];
		};
		const [ax, ay] = towards(before);
		const [bx, by] = towards(after);
		return `L${round(ax)} ${round(ay)}Q${round(x)} ${round(y)} ${round(bx)} ${round(by)}`;
	});
	return parts.join("");
}

const round = (value: number): number => Math.round(value * 10) / 10;

/** About, in parts of the font's size: there is no font here to ask. */
function widthOf(text: string): number {
	let width = 0;
	for (const letter of text)
		width += /[iljtfr.,:;'|!()[\]/ ]/.test(letter)
			? 0.36
			: /[mwMW@%…—]/.test(letter)
				? 0.92
				: /[\u1100-\uffff]/.test(letter)
					? 1.05
					: /[A-Z0-9_]/.test(letter)
						? 0.68
						: 0.6;
	return width;
}

function escaped(text: string): string {
	const safe = text.replaceAll(/[\p{Cc}\ufffe\uffff]/gu, " ").replaceAll(/[\ud800-\udfff]/gu, "\ufffd");
	return safe.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
