/** What an expression gives for a run's state, within a budget. */
import { isJsonList, isJsonObject, isPrototypeKey, type Json, kindOf, ownValue } from "../json.ts";
import { formatPath, readPath } from "../reference-path.ts";
import type { Scope } from "../scope.ts";
import { EvaluationBudget } from "./budget.ts";
import { functionRow, valuesOf } from "./functions.ts";
import { callMethod } from "./methods.ts";
import type { BinaryOperator, ComparisonOperator, Expression } from "./syntax.ts";
import { areEqual, asNumber, calculate, characters, checkedNumber, compare, isTrue, refuse } from "./values.ts";

type Variables = ReadonlyMap<string, Json>;
type Node<Kind extends Expression["kind"]> = Extract<Expression, { kind: Kind }>;

/** Throws a `FlowFailure`: `States.QueryEvaluationError`, or `States.DataLimitExceeded`. */
export function evaluateExpression(
	expression: Expression,
	scope: Scope,
	budget: EvaluationBudget = new EvaluationBudget(),
): Json {
	return new Evaluation(scope, budget).value(expression, new Map());
}

class Evaluation {
	readonly #scope: Scope;
	readonly #budget: EvaluationBudget;

	constructor(scope: Scope, budget: EvaluationBudget) {
		this.#scope = scope;
		this.#budget = budget;
	}

	value(node: Expression, variables: Variables): Json {
		this.#budget.spend();
		const evaluate = (part: Expression): Json => this.value(part, variables);
		switch (node.kind) {
			case "literal":
				return node.value;
			case "name":
				return variables.has(node.name) ? (variables.get(node.name) as Json) : this.#named(node.name);
			case "path":
				return present(readPath(node.path, this.#scope), () => `${formatPath(node.path)} leads to nothing`);
			case "list":
				this.#budget.make(node.items.length);
				return node.items.map(evaluate);
			case "dict":
				this.#budget.make(2 * node.entries.length);
				return Object.fromEntries(node.entries.map(([key, value]) => [keyOf(evaluate(key)), evaluate(value)]));
			case "unary":
				return this.#unary(node.operator, evaluate(node.operand));
			case "binary":
				return this.#binary(node.operator, evaluate(node.left), evaluate(node.right));
			case "comparison":
				return this.#comparison(node, variables);
			case "and": {
				const left = evaluate(node.left);
				return isTrue(left, this.#budget) ? evaluate(node.right) : left;
			}
			case "or": {
				const left = evaluate(node.left);
				return isTrue(left, this.#budget) ? left : evaluate(node.right);
			}
			case "conditional":
				return evaluate(isTrue(evaluate(node.test), this.#budget) ? node.value : node.otherwise);
			case "attribute":
				return attribute(evaluate(node.object), node.name);
			case "index":
				return this.#element(evaluate(node.object), evaluate(node.index));
			case "slice":
				return this.#slice(node, variables);
			case "call":
				return this.#call(node, variables);
			case "comprehension": {
				const made: Json[] = [];
				this.#loop(node, 0, variables, made);
				return made;
			}
		}
	}

	#named(name: string): Json {
		const { state, context } = this.#scope;
		if (name === "_context") return context;
		if (!isJsonObject(state)) return refuse(`there is no "${name}": the state is ${kindOf(state)}`);
		return present(ownValue(state, name), () => `there is no "${name}" in the state: ${contentsOf(state)}`);
	}

	#unary(operator: "-" | "+" | "not", value: Json): Json {
		if (operator === "not") return !isTrue(value, this.#budget);
		const number = asNumber(value);
		if (number === undefined) return refuse(`${operator} before ${kindOf(value)} is not defined`);
		return checkedNumber(operator === "-" ? -number : number, false);
	}

	#binary(operator: BinaryOperator, a: Json, b: Json): Json {
		const left = asNumber(a);
		const right = asNumber(b);
		if (left !== undefined && right !== undefined) return calculate(operator, left, right);
		if (operator === "+") {
			if (typeof a === "string" && typeof b === "string") {
				this.#budget.make(a.length + b.length);
				return a + b;
			}
			if (isJsonList(a) && isJsonList(b)) {
				this.#budget.make(a.length + b.length);
				return [...a, ...b];
			}
		}
		if (operator === "*" && right !== undefined && isRepeatable(a)) return this.#repeat(a, right);
		if (operator === "*" && left !== undefined && isRepeatable(b)) return this.#repeat(b, left);
		const also =
			operator === "+" && (typeof a === "string" || typeof b === "string") ? ": write str(x) for a number" : "";
		return refuse(`${kindOf(a)} ${operator} ${kindOf(b)} is not defined${also}`);
	}

	#repeat(part: string | readonly Json[], times: number): Json {
		if (!Number.isInteger(times)) return refuse("something is repeated a whole number of times");
		const count = Math.max(0, times);
		this.#budget.make(part.length * count);
		return typeof part === "string" ? part.repeat(part === "" ? 0 : count) : repeatList(part, count);
	}

	#comparison({ first, links }: Node<"comparison">, variables: Variables): boolean {
		let left = this.value(first, variables);
		for (const { operator, operand } of links) {
			const right = this.value(operand, variables);
			if (!this.#holds(operator, left, right)) return false;
			left = right;
		}
		return true;
	}

	#holds(operator: ComparisonOperator, a: Json, b: Json): boolean {
		switch (operator) {
			case "==":
				return areEqual(a, b, this.#budget);
			case "!=":
				return !areEqual(a, b, this.#budget);
			case "is":
				return a === b;
			case "is not":
				return a !== b;
			case "in":
				return this.#contains(b, a);
			case "not in":
				return !this.#contains(b, a);
			case "<":
				return compare(a, b, this.#budget) < 0;
			case "<=":
				return compare(a, b, this.#budget) <= 0;
			case ">":
				return compare(a, b, this.#budget) > 0;
			case ">=":
				return compare(a, b, this.#budget) >= 0;
		}
	}

	#contains(whole: Json, part: Json): boolean {
		if (isJsonList(whole)) return whole.some((item) => areEqual(item, part, this.#budget));
		if (isJsonObject(whole)) {
			if (isJsonList(part) || isJsonObject(part)) return refuse(`${kindOf(part)} is no key of an object`);
			return typeof part === "string" && Object.hasOwn(whole, part);
		}
		if (typeof whole !== "string" || typeof part !== "string")
			return refuse(`${kindOf(part)} in ${kindOf(whole)} is not defined`);
		this.#budget.read(whole);
		return whole.includes(part);
	}

	#element(whole: Json, index: Json): Json {
		if (isJsonObject(whole)) {
			if (typeof index !== "string") return refuse(`an object's key is a string, not ${kindOf(index)}`);
			return present(ownValue(whole, index), () => `there is no "${index}": ${contentsOf(whole)}`);
		}
		if (!isRepeatable(whole)) return refuse(`${kindOf(whole)} has no places`);
		const place = asNumber(index);
		if (place === undefined || !Number.isInteger(place))
			return refuse(`a place is a whole number, not ${kindOf(index)}`);
		this.#budget.read(whole);
		const items: readonly Json[] = typeof whole === "string" ? characters(whole) : whole;
		return present(items.at(place), () => `there is no place ${place} among ${items.length}`);
	}

	#slice({ object, start, stop, step }: Node<"slice">, variables: Variables): Json {
		const whole = this.value(object, variables);
		const bound = (part: Expression | undefined): number | undefined => {
			const value = part && this.value(part, variables);
			if (value === undefined || value === null) return undefined;
			const number = asNumber(value);
			return number !== undefined && Number.isInteger(number) ? number : refuse("a slice is between whole numbers");
		};
		const bounds = { start: bound(start), stop: bound(stop), step: bound(step) ?? 1 };
		if (bounds.step === 0) return refuse("a slice with a step of 0");
		if (!isRepeatable(whole)) return refuse(`${kindOf(whole)} has no slices`);
		this.#budget.read(whole);
		const items: readonly Json[] = typeof whole === "string" ? characters(whole) : whole;
		const taken = places(items.length, bounds).map((i) => items[i] as Json);
		this.#budget.make(taken.length);
		return typeof whole === "string" ? taken.join("") : taken;
	}

	#call({ object, name, arguments: given }: Node<"call">, variables: Variables): Json {
		const receiver = object && this.value(object, variables);
		const values = given.map((argument) => this.value(argument, variables));
		if (receiver !== undefined) return callMethod(receiver, name, values, this.#budget);
		const row = functionRow(name);
		return row
			? row.call(values, { scope: this.#scope, budget: this.#budget })
			: refuse(`there is no function ${name}()`);
	}

	#loop(node: Node<"comprehension">, depth: number, variables: Variables, made: Json[]): void {
		const clause = node.clauses[depth];
		if (!clause) {
			this.#budget.make(1);
			made.push(this.value(node.item, variables));
			return;
		}
		for (const item of valuesOf(this.value(clause.items, variables), "for", this.#budget)) {
			const inner = new Map(variables);
			this.#budget.spend(1 + variables.size);
			for (const [name, value] of unpack(clause.variables, item)) inner.set(name, value);
			if (clause.tests.every((test) => isTrue(this.value(test, inner), this.#budget)))
				this.#loop(node, depth + 1, inner, made);
		}
	}
}

function unpack(names: readonly string[], item: Json): readonly (readonly [string, Json])[] {
	if (names.length === 1) return [[names[0] as string, item]];
	const parts = typeof item === "string" ? characters(item) : item;
	if (!isJsonList(parts) || parts.length !== names.length)
		return refuse(
			`${kindOf(item)}${isJsonList(parts) ? ` of ${parts.length}` : ""} cannot be taken apart into ${names.join(", ")}`,
		);
	return names.map((name, i) => [name, parts[i] as Json]);
}

function attribute(object: Json, name: string): Json {
	if (!isJsonObject(object)) return refuse(`${kindOf(object)} has no "${name}"`);
	return present(ownValue(object, name), () => `there is no "${name}": ${contentsOf(object)}`);
}

/** Not `??`: null is a value. */
function present(value: Json | undefined, complaint: () => string): Json {
	return value === undefined ? refuse(complaint()) : value;
}

function isRepeatable(value: Json): value is string | readonly Json[] {
	return typeof value === "string" || isJsonList(value);
}

function repeatList(part: readonly Json[], count: number): Json {
	return part.length === 0 ? [] : Array.from({ length: part.length * count }, (_, i) => part[i % part.length] as Json);
}

/** The places that a slice takes, as Python counts them. */
function places(
	length: number,
	{ start, stop, step }: { start: number | undefined; stop: number | undefined; step: number },
): number[] {
	const [low, high] = step > 0 ? [0, length] : [-1, length - 1];
	const clamp = (place: number): number => Math.min(high, Math.max(low, place < 0 ? place + length : place));
	const from = start === undefined ? (step > 0 ? low : high) : clamp(start);
	const to = stop === undefined ? (step > 0 ? high : low) : clamp(stop);
	const count = Math.max(0, Math.ceil((to - from) / step));
	return Array.from({ length: count }, (_, i) => from + i * step);
}

function keyOf(value: Json): string {
	if (typeof value !== "string") return refuse(`an object's key is a string, not ${kindOf(value)}`);
	return isPrototypeKey(value) ? refuse(`"${value}" is not taken as a key`) : value;
}

function contentsOf(object: Readonly<Record<string, Json>>): string {
	const keys = Object.keys(object);
	if (keys.length === 0) return "it is empty";
	return `it has ${keys.slice(0, 8).join(", ")}${keys.length > 8 ? ", …" : ""}`;
}
