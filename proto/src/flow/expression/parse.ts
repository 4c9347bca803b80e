/** An expression's text → its syntax tree: Python's grammar of expressions, as far as it is pure and cheap. */
import { expressionLimitChars, expressionLimitDepth } from "../flow-limits.ts";
import { isPrototypeKey, type Json } from "../json.ts";
import { isPathFault, parsePath, type ReferencePath } from "../reference-path.ts";
import { functionRow, functions } from "./functions.ts";
import { methodRow, methods } from "./methods.ts";
import { parseReference } from "./reference.ts";
import type { BinaryOperator, ComparisonOperator, ComprehensionClause, Expression, UnaryOperator } from "./syntax.ts";
import { ExpressionFault, type Token, tokenize } from "./tokens.ts";

const constants: ReadonlyMap<string, Json> = new Map<string, Json>([
	["True", true],
	["False", false],
	["None", null],
]);

/** Words that are no names, each with what is said of them. */
const reserved: ReadonlyMap<string, string> = new Map([
	...["and", "or", "not", "in", "is", "if", "else", "for"].map(
		(word) => [word, `"${word}" is not expected here`] as const,
	),
	["true", "it is written True"],
	["false", "it is written False"],
	["null", "it is written None"],
	["lambda", "functions are not made in an expression"],
	...[
		"await",
		"async",
		"yield",
		"def",
		"class",
		"return",
		"import",
		"from",
		"with",
		"while",
		"as",
		"assert",
		"del",
	].map((word) => [word, `"${word}" has no meaning in an expression`] as const),
]);

/** Loosest first; each level is read left to right. */
const binaryLevels: readonly (readonly BinaryOperator[])[] = [
	["+", "-"],
	["*", "/", "//", "%"],
];

const comparisonWords: readonly ComparisonOperator[] = ["==", "!=", "<", "<=", ">", ">="];

/** Throws an {@link ExpressionFault}. */
export function parseExpression(source: string): Expression {
	if (source.length > expressionLimitChars)
		throw new ExpressionFault(
			`an expression has at most ${expressionLimitChars} characters, this one has ${source.length}: use several states`,
			0,
		);
	return new Parser(tokenize(source)).whole();
}

class Parser {
	readonly #tokens: readonly Token[];
	/** How many operations are in one another, so that evaluating stays within the stack. */
	readonly #depths = new Map<Expression, number>();
	#position = 0;
	#nesting = 0;

	constructor(tokens: readonly Token[]) {
		this.#tokens = tokens;
	}

	whole(): Expression {
		if (this.#tokens.length === 1) throw new ExpressionFault("an expression is missing", 0);
		const expression = this.#expression();
		if (this.#token.kind !== "end") this.#unexpected("the end, or an operator");
		return expression;
	}

	get #token(): Token {
		return this.#tokens[this.#position] as Token;
	}

	#next(): Token {
		const token = this.#token;
		if (token.kind !== "end") this.#position++;
		return token;
	}

	#is(text: string): boolean {
		const { kind, text: there } = this.#token;
		return there === text && (kind === "operator" || kind === "name");
	}

	#accept(text: string): boolean {
		if (!this.#is(text)) return false;
		this.#position++;
		return true;
	}

	#expect(text: string, after: string): void {
		if (!this.#accept(text)) this.#unexpected(`"${text}" after ${after}`);
	}

	#unexpected(wanted: string): never {
		const { kind, text, at } = this.#token;
		const found =
			kind === "end" ? "the expression ends" : kind === "string" ? "there is a string" : `there is "${text}"`;
		throw new ExpressionFault(`${found}; expected: ${wanted}`, at);
	}

	#node(expression: Expression, ...parts: readonly (Expression | undefined)[]): Expression {
		const depth = 1 + Math.max(0, ...parts.map((part) => (part ? (this.#depths.get(part) ?? 0) : 0)));
		if (depth > expressionLimitDepth) this.#tooDeep();
		this.#depths.set(expression, depth);
		return expression;
	}

	#tooDeep(): never {
		throw new ExpressionFault(
			`more than ${expressionLimitDepth} operations in one another: use several states`,
			this.#token.at,
		);
	}

	/** Every way in which the grammar calls itself comes through here. */
	#expression(): Expression {
		if (++this.#nesting > expressionLimitDepth / 2) this.#tooDeep();
		const value = this.#disjunction();
		let expression = value;
		if (this.#accept("if")) {
			const test = this.#disjunction();
			this.#expect("else", '"x if test"');
			const otherwise = this.#expression();
			expression = this.#node({ kind: "conditional", test, value, otherwise }, test, value, otherwise);
		}
		this.#nesting--;
		return expression;
	}

	#disjunction(): Expression {
		return this.#logical("or", () => this.#logical("and", () => this.#negation()));
	}

	#logical(kind: "and" | "or", operand: () => Expression): Expression {
		let left = operand();
		while (this.#accept(kind)) {
			const right = operand();
			left = this.#node({ kind, left, right }, left, right);
		}
		return left;
	}

	#negation(): Expression {
		let nots = 0;
		while (this.#accept("not")) nots++;
		let expression = this.#comparison();
		for (; nots > 0; nots--) expression = this.#unary("not", expression);
		return expression;
	}

	#comparison(): Expression {
		const first = this.#binary(0);
		const links: { operator: ComparisonOperator; operand: Expression }[] = [];
		for (let operator = this.#comparisonOperator(); operator; operator = this.#comparisonOperator()) {
			const { at } = this.#token;
			const operand = this.#binary(0);
			if ((operator === "is" || operator === "is not") && !isSingleton(operand))
				throw new ExpressionFault('"is" compares with None, True or False only: use == or !=', at);
			links.push({ operator, operand });
		}
		if (links.length === 0) return first;
		return this.#node({ kind: "comparison", first, links }, first, ...links.map(({ operand }) => operand));
	}

	#comparisonOperator(): ComparisonOperator | undefined {
		const simple = comparisonWords.find((word) => this.#accept(word));
		if (simple) return simple;
		if (this.#accept("in")) return "in";
		if (this.#accept("is")) return this.#accept("not") ? "is not" : "is";
		if (!this.#is("not")) return undefined;
		this.#next();
		this.#expect("in", '"not"');
		return "not in";
	}

	#binary(level: number): Expression {
		const operators = binaryLevels[level];
		if (!operators) return this.#signed();
		let left = this.#binary(level + 1);
		for (;;) {
			const operator = operators.find((word) => this.#accept(word));
			if (!operator) return left;
			const right = this.#binary(level + 1);
			left = this.#node({ kind: "binary", operator, left, right }, left, right);
		}
	}

	/** Signs bind less than a power on their right: -2**2 is -4. */
	#signed(): Expression {
		const signs: UnaryOperator[] = [];
		for (;;) {
			const sign = (["-", "+"] as const).find((word) => this.#accept(word));
			if (!sign) break;
			signs.push(sign);
		}
		const base = this.#postfix();
		let expression = base;
		if (this.#accept("**")) {
			if (++this.#nesting > expressionLimitDepth / 2) this.#tooDeep();
			const right = this.#signed();
			this.#nesting--;
			expression = this.#node({ kind: "binary", operator: "**", left: base, right }, base, right);
		}
		for (const sign of signs.reverse()) expression = this.#unary(sign, expression);
		return expression;
	}

	#unary(operator: UnaryOperator, operand: Expression): Expression {
		return this.#node({ kind: "unary", operator, operand }, operand);
	}

	#postfix(): Expression {
		let object = this.#primary();
		for (;;) {
			if (this.#accept(".")) object = this.#member(object);
			else if (this.#accept("[")) object = this.#subscript(object);
			else if (this.#is("("))
				throw new ExpressionFault("only functions and methods are called, by their names", this.#token.at);
			else return object;
		}
	}

	#member(object: Expression): Expression {
		const { kind, text: name, at } = this.#next();
		if (kind !== "name") {
			this.#position--;
			this.#unexpected("a name after the dot");
		}
		if (isPrototypeKey(name) || name.startsWith("__"))
			throw new ExpressionFault(`"${name}" is not taken as a name`, at);
		if (!this.#is("(")) return this.#node({ kind: "attribute", object, name }, object);
		const row = methodRow(name);
		if (!row)
			throw new ExpressionFault(`there is no method ${name}(); there are ${Object.keys(methods).join(", ")}`, at);
		return this.#call(object, name, at, row);
	}

	#subscript(object: Expression): Expression {
		const part = (): Expression | undefined => (this.#is(":") || this.#is("]") ? undefined : this.#expression());
		if (this.#is("]")) this.#unexpected("an index");
		const start = part();
		if (start && this.#accept("]")) return this.#node({ kind: "index", object, index: start }, object, start);
		this.#expect(":", "the index");
		const stop = part();
		const step = this.#accept(":") ? part() : undefined;
		this.#expect("]", "the slice");
		return this.#node({ kind: "slice", object, start, stop, step }, object, start, stop, step);
	}

	#call(object: Expression | undefined, name: string, at: number, row: { least: number; most: number }): Expression {
		this.#expect("(", `"${name}"`);
		const given: Expression[] = [];
		while (!this.#is(")")) {
			const argument = this.#expression();
			given.push(this.#is("for") ? this.#comprehension(argument) : argument);
			if (!this.#accept(",")) break;
		}
		this.#expect(")", `the arguments of ${name}`);
		const { least, most } = row;
		if (given.length < least || given.length > most) {
			const takes =
				least === most ? `${least}` : most === Number.POSITIVE_INFINITY ? `${least} or more` : `${least} to ${most}`;
			throw new ExpressionFault(`${name}() takes ${takes} arguments, not ${given.length}`, at);
		}
		if (!object && (name === "is_present" || name === "getattr")) this.#checkReference(given[0], at);
		return this.#node({ kind: "call", object, name, arguments: given }, object, ...given);
	}

	/** A name in quotes is known now, so it is read now. */
	#checkReference(argument: Expression | undefined, at: number): void {
		if (argument?.kind !== "literal") return;
		if (typeof argument.value !== "string")
			throw new ExpressionFault("the first argument is the name of a value, in quotes: 'input.files'", at);
		const reference = parseReference(argument.value);
		if (isPathFault(reference)) throw new ExpressionFault(reference.message, at);
	}

	#primary(): Expression {
		const { kind, text, value, at } = this.#next();
		switch (kind) {
			case "number":
				return this.#node({ kind: "literal", value });
			case "string":
				if (this.#token.kind === "string") this.#unexpected("+ between two strings");
				return this.#node({ kind: "literal", value: text });
			case "path":
				return this.#node({ kind: "path", path: this.#path(text, at) });
			case "name":
				return this.#named(text, at);
			case "operator":
				if (text === "(") return this.#parenthesis();
				if (text === "[") return this.#list();
				if (text === "{") return this.#dict();
				break;
			case "end":
				break;
		}
		if (kind !== "end") this.#position--;
		return this.#unexpected("a value");
	}

	#path(text: string, at: number): ReferencePath {
		const path = parsePath(text);
		if (isPathFault(path)) throw new ExpressionFault(`the path ${text}: ${path.message}`, at);
		return path;
	}

	#named(name: string, at: number): Expression {
		const constant = constants.get(name);
		if (constant !== undefined) return this.#node({ kind: "literal", value: constant });
		const refusal = reserved.get(name);
		if (refusal) throw new ExpressionFault(refusal, at);
		if (isPrototypeKey(name) || name.startsWith("__"))
			throw new ExpressionFault(`"${name}" is not taken as a name`, at);
		if (!this.#is("(")) return this.#node({ kind: "name", name });
		const row = functionRow(name);
		if (row) return this.#call(undefined, name, at, row);
		throw new ExpressionFault(`there is no function ${name}(); there are ${Object.keys(functions).join(", ")}`, at);
	}

	#parenthesis(): Expression {
		const inner = this.#expression();
		if (this.#is(",")) throw new ExpressionFault("parentheses hold one expression; a list is [a, b]", this.#token.at);
		this.#expect(")", "the parenthesis");
		return inner;
	}

	#list(): Expression {
		const items: Expression[] = [];
		while (!this.#is("]")) {
			const item = this.#expression();
			if (items.length === 0 && this.#is("for")) {
				const comprehension = this.#comprehension(item);
				this.#expect("]", "the comprehension");
				return comprehension;
			}
			items.push(item);
			if (!this.#accept(",")) break;
		}
		this.#expect("]", "the list");
		return this.#node({ kind: "list", items }, ...items);
	}

	#dict(): Expression {
		const entries: [Expression, Expression][] = [];
		while (!this.#is("}")) {
			const { at } = this.#token;
			const key = this.#expression();
			if (key.kind === "literal" && typeof key.value !== "string")
				throw new ExpressionFault("the keys of an object are strings", at);
			if (key.kind === "literal" && isPrototypeKey(key.value as string))
				throw new ExpressionFault(`"${key.value}" is not taken as a key`, at);
			this.#expect(":", "the key");
			entries.push([key, this.#expression()]);
			if (!this.#accept(",")) break;
		}
		this.#expect("}", "the object");
		return this.#node({ kind: "dict", entries }, ...entries.flat());
	}

	/** After its item; stops before what closes it. */
	#comprehension(item: Expression): Expression {
		const clauses: ComprehensionClause[] = [];
		while (this.#accept("for")) {
			const variables = [this.#variable()];
			while (this.#accept(",")) variables.push(this.#variable());
			this.#expect("in", "the variable");
			const items = this.#disjunction();
			const tests: Expression[] = [];
			while (this.#accept("if")) tests.push(this.#disjunction());
			clauses.push({ variables, items, tests });
		}
		return this.#node(
			{ kind: "comprehension", item, clauses },
			item,
			...clauses.flatMap(({ items, tests }) => [items, ...tests]),
		);
	}

	#variable(): string {
		const { kind, text: name, at } = this.#next();
		if (kind !== "name" || constants.has(name) || reserved.has(name) || isPrototypeKey(name) || name.startsWith("__"))
			throw new ExpressionFault(`"${name}" is not a variable's name`, at);
		return name;
	}
}

function isSingleton(expression: Expression): boolean {
	return expression.kind === "literal" && (expression.value === null || typeof expression.value === "boolean");
}
