/** A flow as a list of states and where they lead: what is shown of a flow that cannot be drawn. */
import type { FlowState, StateGraph } from "../definition.ts";
import { arrowsOf, innerGraphs } from "../graph.ts";
import { arrowLabel, caption, shortened } from "./label.ts";
import { markSigns, type StateMarks } from "./mark.ts";

/** What a type looks like where there is no mark. */
const typeSigns: Readonly<Partial<Record<FlowState["type"], string>>> = {
	Choice: "◇",
	Fail: "✗",
	Succeed: "✓",
	Wait: "◔",
	Map: "≡",
	Parallel: "∥",
	ExpressionEval: "=",
};

/** A name with the sign of its mark, or of its type where there are no marks. */
export function titled(name: string, type: string, most: number, marks: StateMarks | undefined): string {
	const mark = marks?.get(name);
	const sign = mark ? markSigns[mark] : marks ? " " : typeSigns[type as FlowState["type"]];
	return `${sign ? `${sign} ` : ""}${shortened(name, most)}`;
}

/** Each state with its ways out under it, what is in branches further in. */
export function outline(graph: StateGraph, marks: StateMarks | undefined, indent = ""): readonly string[] {
	const ordered = [...graph.states.values()].sort(
		(a, b) => Number(b.name === graph.startAt) - Number(a.name === graph.startAt),
	);
	return ordered.flatMap((state) => [
		`${indent}${titled(state.name, state.type, 128, marks)} (${caption(state)})`,
		...innerGraphs(state).flatMap((inner, i) => [
			...(state.type === "Parallel" ? [`${indent}  branch ${i + 1}:`] : []),
			...outline(inner, marks, `${indent}    `),
		]),
		...arrowsOf(state)
			.filter(({ to }) => to !== undefined || (state.type !== "Fail" && state.type !== "Succeed"))
			.map((arrow) => `${indent}  → ${arrow.to ?? "end"}${labelled(arrowLabel(state, arrow))}`),
	]);
}

const labelled = (text: string): string => (text === "" ? "" : `  (${text})`);
