import { expect, test } from "vitest";
import { Fault, faults, isFaultCode, toProblem } from "./fault.ts";

test("a fault becomes the public interface's error body", () => {
	const fault = new Fault("FUNCTION_NOT_FOUND", "Function x could not be resolved", { args: ["x"] });
	expect(toProblem(fault)).toEqual({
		status: "Failed",
		code: "FUNCTION_NOT_FOUND",
		error_args: ["x"],
		http_status_code: 404,
		detail: "Function x could not be resolved",
		reason: "Function x could not be resolved",
	});
});

test("what may be retried says so by its status, too", () => {
	for (const [code, fault] of Object.entries(faults))
		if (fault.httpStatus >= 500 || fault.httpStatus === 429) expect([code, fault.retry]).toEqual([code, true]);
});

test("only rows of the table are codes", () => {
	expect(isFaultCode("LOST")).toBe(true);
	expect(isFaultCode("toString")).toBe(false);
});
