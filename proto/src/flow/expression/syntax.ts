/** Expressions of `.=` keys as a syntax tree. */
import type { Json } from "../json.ts";
import type { ReferencePath } from "../reference-path.ts";

export type Expression =
	| { readonly kind: "literal"; readonly value: Json }
	/** A top-level key of the run's state, or a comprehension's variable. */
	| { readonly kind: "name"; readonly name: string }
	/** In backticks: `` `$.a.b` ``. */
	| { readonly kind: "path"; readonly path: ReferencePath }
	| { readonly kind: "list"; readonly items: readonly Expression[] }
	| { readonly kind: "dict"; readonly entries: readonly (readonly [key: Expression, value: Expression])[] }
	| { readonly kind: "unary"; readonly operator: UnaryOperator; readonly operand: Expression }
	| {
			readonly kind: "binary";
			readonly operator: BinaryOperator;
			readonly left: Expression;
			readonly right: Expression;
	  }
	/** `a < b <= c`: each link holds, every operand evaluated once. */
	| {
			readonly kind: "comparison";
			readonly first: Expression;
			readonly links: readonly { readonly operator: ComparisonOperator; readonly operand: Expression }[];
	  }
	| { readonly kind: "and" | "or"; readonly left: Expression; readonly right: Expression }
	| {
			readonly kind: "conditional";
			readonly test: Expression;
			readonly value: Expression;
			readonly otherwise: Expression;
	  }
	| { readonly kind: "attribute"; readonly object: Expression; readonly name: string }
	| { readonly kind: "index"; readonly object: Expression; readonly index: Expression }
	| {
			readonly kind: "slice";
			readonly object: Expression;
			readonly start: Expression | undefined;
			readonly stop: Expression | undefined;
			readonly step: Expression | undefined;
	  }
	/** A function of the table, or a method when `object` is there. */
	| {
			readonly kind: "call";
			readonly object: Expression | undefined;
			readonly name: string;
			readonly arguments: readonly Expression[];
	  }
	| { readonly kind: "comprehension"; readonly item: Expression; readonly clauses: readonly ComprehensionClause[] };

/** `for a, b in items if test`. */
export interface ComprehensionClause {
	readonly variables: readonly string[];
	readonly items: Expression;
	readonly tests: readonly Expression[];
}

export type UnaryOperator = "-" | "+" | "not";
export type BinaryOperator = "+" | "-" | "*" | "/" | "//" | "%" | "**";
export type ComparisonOperator = "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not in" | "is" | "is not";
