/** Parameters of a document → a template: paths and expressions are read here, so that they cannot fail to be read later. */
import type { Template } from "./definition.ts";
import { parseExpression } from "./expression/parse.ts";
import { ExpressionFault } from "./expression/tokens.ts";
import type { DocumentPath, Findings } from "./findings.ts";
import { flowLimitDepth } from "./flow-limits.ts";
import { isJsonList, isJsonObject, isPrototypeKey, type Json, type JsonObject, kindOf } from "./json.ts";
import { isPathFault, parsePath } from "./reference-path.ts";
import { privateParametersKey } from "./template.ts";

const nothing: Template = { kind: "constant", value: null };

export function readTemplate(value: Json, at: DocumentPath, findings: Findings, depth = 0): Template {
	if (depth > flowLimitDepth) {
		findings.error("limit", at, `more than ${flowLimitDepth} lists and objects in one another`);
		return nothing;
	}
	if (isJsonList(value))
		return simplest({
			kind: "list",
			items: value.map((item, i) => readTemplate(item, [...at, i], findings, depth + 1)),
		});
	if (!isJsonObject(value)) return { kind: "constant", value };
	const entries: [string, Template][] = [];
	const from = new Map<string, string>();
	for (const [key, item] of Object.entries(value)) {
		if (key === privateParametersKey) continue;
		const name = key.replace(/\.[$=]$/, "");
		const place = [...at, key];
		if (name === "" || isPrototypeKey(name))
			findings.error("value", place, `${JSON.stringify(key)} is not taken as a key`, "key");
		else if (from.has(name))
			findings.error("exclusive", place, `${from.get(name)} and ${key} would both make "${name}"`, "key");
		from.set(name, key);
		entries.push([name, readEntry(key, item, place, findings, depth)]);
	}
	return simplest({ kind: "object", entries, privateKeys: readPrivateKeys(value, at, from, findings) });
}

function readEntry(key: string, item: Json, at: DocumentPath, findings: Findings, depth: number): Template {
	if (key.endsWith(".$")) return readPathEntry(item, at, findings);
	if (key.endsWith(".=")) return readExpressionEntry(item, at, findings);
	return readTemplate(item, at, findings, depth + 1);
}

function readPathEntry(text: Json, at: DocumentPath, findings: Findings): Template {
	if (typeof text !== "string") {
		findings.error("type", at, `a key that ends in .$ takes a path, not ${kindOf(text)}`);
		return nothing;
	}
	const path = parsePath(text);
	if (!isPathFault(path)) return { kind: "path", path };
	const message = text.startsWith("States.") ? "functions are called in a key that ends in .=" : path.message;
	findings.error("path", at, `${JSON.stringify(text)}: ${message}`);
	return nothing;
}

/** Also of `Items.=`, which is not in an object of parameters. */
export function readExpressionEntry(text: Json, at: DocumentPath, findings: Findings): Template {
	if (typeof text !== "string") {
		findings.error("type", at, `a key that ends in .= takes an expression as a string, not ${kindOf(text)}`);
		return nothing;
	}
	try {
		return { kind: "expression", expression: parseExpression(text) };
	} catch (error) {
		if (!(error instanceof ExpressionFault)) throw error;
		findings.error("expression", at, `${excerpt(text, error.at)} (character ${error.at + 1}): ${error.message}`);
		return nothing;
	}
}

function readPrivateKeys(
	object: JsonObject,
	at: DocumentPath,
	names: ReadonlyMap<string, string>,
	findings: Findings,
): readonly string[] {
	const list = object[privateParametersKey];
	if (list === undefined) return [];
	const place = [...at, privateParametersKey];
	if (!isJsonList(list) || !list.every((name) => typeof name === "string")) {
		findings.error("type", place, `${privateParametersKey} is a list of names beside it`);
		return [];
	}
	return list.map((name, i) => {
		const plain = name.replace(/\.[$=]$/, "");
		if (!names.has(plain))
			findings.warning(
				"private-parameter",
				[...place, i],
				`there is no parameter "${plain}" beside ${privateParametersKey}`,
			);
		return plain;
	});
}

/** Without paths and expressions in it a template is a constant. */
function simplest(template: Extract<Template, { kind: "list" | "object" }>): Template {
	if (template.kind === "list") {
		const values = template.items.map((item) => (item.kind === "constant" ? item.value : undefined));
		return values.includes(undefined) ? template : { kind: "constant", value: values as Json[] };
	}
	if (template.privateKeys.length > 0 || template.entries.some(([, item]) => item.kind !== "constant")) return template;
	return {
		kind: "constant",
		value: Object.fromEntries(template.entries.map(([key, item]) => [key, (item as { value: Json }).value])),
	};
}

/** The part of an expression around a fault. */
function excerpt(text: string, at: number): string {
	const from = Math.max(0, at - 24);
	const to = Math.min(text.length, at + 24);
	return `"${from > 0 ? "…" : ""}${text.slice(from, to)}${to < text.length ? "…" : ""}"`;
}
