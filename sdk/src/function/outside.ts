/** What a function uses that is not its own: free variables, `this`, and modules by relative path. */
import type { AnyNode, ArrowFunctionExpression, FunctionExpression, Program } from "acorn";
import { analyze } from "eslint-scope";
import { workerGlobals } from "./worker-globals.ts";

export interface Outside {
	/** Free variables that the worker does not have, in the order of their first use. */
	variables: string[];
	/** Free variables that it has. */
	globals: Set<string>;
	/** `this`, `super` or `arguments` of something around the function. */
	receiver: "this" | "super" | "arguments" | undefined;
	/** Relative paths that it imports. */
	relativeImports: string[];
	/** It reads `import.meta`, which is the worker's. */
	importMeta: boolean;
}

/**
 * `ownName` is how the function is called where it was defined: using it means calling itself. A variable that is
 * only asked for by `typeof` may be missing.
 */
export function findOutside(
	program: Program,
	fn: FunctionExpression | ArrowFunctionExpression,
	ownName: string,
): Outside {
	const scopes = analyze(program as unknown as Parameters<typeof analyze>[0], {
		ecmaVersion: 2024,
		sourceType: "module",
	});
	const asked = new Set<unknown>();
	const found: Outside = {
		variables: [],
		globals: new Set(),
		receiver: undefined,
		relativeImports: [],
		importMeta: false,
	};
	look(fn, found, asked, true);
	const variables = new Set<string>();
	for (const reference of scopes.globalScope?.through ?? []) {
		const { name } = reference.identifier as { name: string };
		if (name === ownName && ownName !== "") continue;
		if (name === "arguments") {
			found.receiver ??= "arguments";
			continue;
		}
		if (workerGlobals.has(name) || name === "__name") found.globals.add(name);
		else if (!asked.has(reference.identifier)) variables.add(name);
	}
	found.variables = [...variables];
	return found;
}

/** Walks the function's own nodes. `outermost`: `this` here is the submitted function's, which has no object. */
function look(node: AnyNode, found: Outside, asked: Set<unknown>, outermost: boolean): void {
	switch (node.type) {
		case "ThisExpression":
			if (outermost) found.receiver ??= "this";
			break;
		case "Super":
			if (outermost) found.receiver ??= "super";
			break;
		case "MetaProperty":
			if (node.meta.name === "import") found.importMeta = true;
			break;
		case "ImportExpression":
			if (node.source.type === "Literal" && /^\.{0,2}\//.test(String(node.source.value))) {
				found.relativeImports.push(String(node.source.value));
			}
			break;
		case "UnaryExpression":
			if (node.operator === "typeof" && node.argument.type === "Identifier") asked.add(node.argument);
			break;
	}
	for (const child of childrenOf(node)) {
		const owns =
			child.type === "FunctionExpression" || child.type === "FunctionDeclaration" || child.type === "ClassBody";
		look(child, found, asked, outermost && !owns);
	}
}

function* childrenOf(node: AnyNode): Generator<AnyNode> {
	for (const value of Object.values(node) as unknown[]) {
		for (const each of Array.isArray(value) ? (value as unknown[]) : [value]) {
			if (typeof each === "object" && each !== null && typeof (each as { type?: unknown }).type === "string") {
				yield each as AnyNode;
			}
		}
	}
}
