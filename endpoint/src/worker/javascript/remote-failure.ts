/** Whatever a function threw → the Failure that its caller reads. */
import { Fault } from "@errand/proto/fault";
import { create, type Failure, FailureSchema } from "@errand/proto/wire";

const causeLimit = 8;

export function failureOf(thrown: unknown): Failure {
	if (thrown instanceof Fault) {
		const { cause } = thrown;
		return create(FailureSchema, {
			code: thrown.code,
			name: cause instanceof Error ? cause.name : thrown.name,
			message: thrown.message,
			stack: cause === undefined ? "" : stackOf(cause),
		});
	}
	if (!isErrorLike(thrown))
		return create(FailureSchema, {
			code: "FUNCTION_FAILED",
			name: typeof thrown,
			message: `the function threw ${describe(thrown)}, which is not an Error and has no stack`,
		});
	const name = text(thrown.name) || "Error";
	return create(FailureSchema, {
		code: "FUNCTION_FAILED",
		name,
		message: text(thrown.message),
		stack: stackOf(thrown),
	});
}

interface ErrorLike {
	name: unknown;
	message: unknown;
	stack?: unknown;
	cause?: unknown;
}

/** Errors of other realms (`vm`) too. */
function isErrorLike(value: unknown): value is ErrorLike {
	return (
		value instanceof Error || (typeof value === "object" && value !== null && "message" in value && "stack" in value)
	);
}

/** The user's frames, and those of its causes; ours are cut off. */
function stackOf(error: unknown, depth = 0): string {
	if (!isErrorLike(error)) return describe(error);
	const lines = (text(error.stack) || `${text(error.name)}: ${text(error.message)}`).split("\n");
	const ours = lines.findIndex((line) => line.startsWith("    at ") && isOurs(line));
	const kept = (ours < 0 ? lines : lines.slice(0, ours)).filter((line) => !/^ {4}at .*\bnode:internal\//.test(line));
	const stack = kept.join("\n");
	if (error.cause === undefined || depth >= causeLimit) return stack;
	return `${stack}\n[cause]: ${stackOf(error.cause, depth + 1)}`;
}

const ownFolder = new URL(import.meta.url.endsWith(".mjs") ? import.meta.url : "..", import.meta.url).href;

function isOurs(line: string): boolean {
	return line.includes(ownFolder);
}

function describe(value: unknown): string {
	try {
		return typeof value === "string" ? JSON.stringify(value) : (JSON.stringify(value) ?? String(value));
	} catch {
		return `a ${typeof value}`;
	}
}

/** User code may have made these getters throw, or anything but text. */
function text(value: unknown): string {
	try {
		return typeof value === "string" ? value : value === undefined ? "" : String(value);
	} catch {
		return "";
	}
}
