import { Fault } from "@errand/proto";
import { expect, test } from "vitest";
import { RateLimiter } from "./rate-limit.ts";

test("a key may burst, then comes at its rate, and is told when its next turn is", () => {
	let nowMs = 0;
	const limiter = new RateLimiter({ perSecond: 2, burst: 3 }, () => nowMs);
	for (let i = 0; i < 3; i++) limiter.take("ada");
	let fault: unknown;
	try {
		limiter.take("ada");
	} catch (error) {
		fault = error;
	}
	expect(fault).toBeInstanceOf(Fault);
	expect(fault).toMatchObject({ code: "TOO_MANY_REQUESTS", retryAfterS: 0.5 });
	nowMs += 500;
	limiter.take("ada");
	expect(() => limiter.take("ada")).toThrow(Fault);
	limiter.take("bob");
});

test("a pause never saves up more than one burst", () => {
	let nowMs = 0;
	const limiter = new RateLimiter({ perSecond: 10, burst: 2 }, () => nowMs);
	nowMs = 3_600_000;
	limiter.take("ada");
	limiter.take("ada");
	expect(() => limiter.take("ada")).toThrow(Fault);
});

test("however many keys come, memory is bounded and the busiest is remembered", () => {
	const limiter = new RateLimiter({ perSecond: 1, burst: 1 }, () => 0);
	limiter.take("busy");
	for (let i = 0; i < 50_000; i++) {
		limiter.take(`guest ${i}`);
		if (i % 1000 === 0) expect(() => limiter.take("busy")).toThrow(Fault);
	}
	expect(limiter.size).toBeLessThanOrEqual(20_000);
});
