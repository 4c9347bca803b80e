/** What Python says of values: equality, order, truth, arithmetic, and how they are written. */
import { FlowFailure } from "../flow-failure.ts";
import { isJsonList, isJsonObject, type Json, type JsonObject, kindOf, ownValue } from "../json.ts";
import type { EvaluationBudget } from "./budget.ts";

export function refuse(message: string): never {
	throw new FlowFailure("States.QueryEvaluationError", message);
}

/** True and False are 1 and 0, as in Python. */
export function asNumber(value: Json): number | undefined {
	if (typeof value === "boolean") return value ? 1 : 0;
	return typeof value === "number" ? value : undefined;
}

export function isTrue(value: Json, budget: EvaluationBudget): boolean {
	if (isJsonList(value) || typeof value === "string") return value.length > 0;
	if (isJsonObject(value)) return keysOf(value, budget).length > 0;
	return Boolean(value);
}

/** The engine makes the list anew each time. */
export function keysOf(object: JsonObject, budget: EvaluationBudget): readonly string[] {
	const keys = Object.keys(object);
	budget.spend(Math.ceil(keys.length / 100));
	return keys;
}

export function areEqual(a: Json, b: Json, budget: EvaluationBudget): boolean {
	budget.spend();
	const left = asNumber(a);
	if (left !== undefined) return left === asNumber(b);
	if (isJsonList(a))
		return isJsonList(b) && a.length === b.length && a.every((item, i) => areEqual(item, b[i] as Json, budget));
	if (typeof a === "string" && typeof b === "string" && a.length === b.length) budget.read(a);
	if (!isJsonObject(a)) return a === b;
	if (!isJsonObject(b)) return false;
	const keys = Object.keys(a);
	if (keys.length !== Object.keys(b).length) return false;
	return keys.every((key) => {
		const other = ownValue(b, key);
		return other !== undefined && areEqual(a[key] as Json, other, budget);
	});
}

/** Negative, 0 or positive; values without an order are refused. */
export function compare(a: Json, b: Json, budget: EvaluationBudget): number {
	budget.spend();
	const left = asNumber(a);
	const right = asNumber(b);
	if (left !== undefined && right !== undefined) return left - right;
	if (typeof a === "string" && typeof b === "string") {
		budget.read(a.length < b.length ? a : b);
		return compareText(a, b);
	}
	if (!isJsonList(a) || !isJsonList(b)) return refuse(`${kindOf(a)} and ${kindOf(b)} have no order`);
	for (const [i, item] of a.entries()) {
		const other = b[i];
		if (other === undefined) return 1;
		if (!areEqual(item, other, budget)) return compare(item, other, budget);
	}
	return a.length - b.length;
}

/** By code points: UTF-16 puts characters above U+FFFF before U+E000. */
function compareText(a: string, b: string): number {
	let i = 0;
	while (i < a.length && i < b.length && a[i] === b[i]) i++;
	const surrogate = (code: number): boolean => code >= 0xd800 && code <= 0xdfff;
	const left = i < a.length ? a.charCodeAt(i) : -1;
	const right = i < b.length ? b.charCodeAt(i) : -1;
	if (left < 0 || right < 0 || surrogate(left) === surrogate(right)) return left - right;
	return surrogate(left) ? 1 : -1;
}

/** The characters of a string as Python counts them. */
export function characters(text: string): readonly string[] {
	return [...text];
}

export function lengthOf(text: string): number {
	return /[\ud800-\udfff]/.test(text) ? characters(text).length : text.length;
}

/** A number as JSON carries it. `exact`: of integers, so it must be one that JSON carries exactly. */
export function checkedNumber(value: number, exact: boolean): number {
	if (!Number.isFinite(value)) return refuse("the number is too large");
	if (exact && !Number.isSafeInteger(value))
		return refuse("the number is larger than 2**53, which JSON does not carry exactly");
	return value + 0;
}

type Operation = (a: number, b: number) => number;

const exactPower = (a: number, b: number): number => {
	if (b < 0) return a === 0 ? refuse("0 has no negative power") : a ** b;
	if (Math.abs(a) > 1 && b > 53) return Number.POSITIVE_INFINITY;
	return Math.abs(a) > 1 ? Number(BigInt(a) ** BigInt(b)) : a ** b;
};

/** Arithmetic of numbers; division and remainder round down, as in Python. */
export const arithmetic: Readonly<Record<"+" | "-" | "*" | "/" | "//" | "%" | "**", Operation>> = {
	"+": (a, b) => a + b,
	"-": (a, b) => a - b,
	"*": (a, b) => a * b,
	"/": (a, b) => a / nonZero(b),
	"//": (a, b) => floorDivision(a, nonZero(b)),
	"%": (a, b) => remainder(a, nonZero(b)),
	"**": (a, b) => {
		if (Number.isInteger(a) && Number.isInteger(b)) return exactPower(a, b);
		if (a < 0 && !Number.isInteger(b)) return refuse("a negative number has no such power");
		return a === 0 && b < 0 ? refuse("0 has no negative power") : a ** b;
	},
};

export function calculate(operator: keyof typeof arithmetic, a: number, b: number): number {
	const whole = Number.isSafeInteger(a) && Number.isSafeInteger(b) && operator !== "/" && !(operator === "**" && b < 0);
	return checkedNumber(arithmetic[operator](a, b), whole);
}

function nonZero(divisor: number): number {
	return divisor === 0 ? refuse("division by zero") : divisor;
}

function remainder(a: number, b: number): number {
	const rest = a % b;
	return rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest;
}

function floorDivision(a: number, b: number): number {
	const rest = a % b;
	const quotient = (a - rest) / b - (rest !== 0 && rest < 0 !== b < 0 ? 1 : 0);
	const floor = Math.floor(quotient);
	return quotient - floor > 0.5 ? floor + 1 : floor;
}

/** As Python's `str`: `1e+16`, `True`, `None`. A number without a fraction is written without one. */
export function textOf(value: Json): string {
	if (typeof value === "string") return value;
	if (value === null) return "None";
	if (typeof value === "boolean") return value ? "True" : "False";
	if (typeof value === "number") return numeralOf(value);
	return refuse(`str() takes a string, number, True, False or None, not ${kindOf(value)}`);
}

function numeralOf(value: number): string {
	if (Number.isSafeInteger(value)) return String(value + 0);
	const [digits = "", exponent = "0"] = value.toExponential().split("e");
	const power = Number(exponent);
	if (power >= -4 && power < 16) return String(value);
	return `${digits}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
}
