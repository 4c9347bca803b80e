import fc from "fast-check";

/** What becomes of good bytes on a bad way: cut, flipped, repeated, joined with others; or nothing but noise. */
export const broken = (wholes: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> => {
	const whole = fc.constantFrom(...wholes);
	const part = fc.double({ min: 0, max: 1, noNaN: true });
	return fc.oneof(
		fc.uint8Array({ maxLength: 300 }),
		fc.tuple(whole, part).map(([bytes, keep]) => bytes.subarray(0, Math.floor(keep * bytes.length))),
		fc.tuple(whole, fc.array(fc.tuple(part, fc.nat(255)), { minLength: 1, maxLength: 5 })).map(([bytes, changes]) => {
			const copy = Uint8Array.from(bytes);
			for (const [at, byte] of changes) copy[Math.floor(at * (copy.length - 1))] = byte;
			return copy;
		}),
		fc.tuple(whole, whole, fc.integer({ min: 1, max: 40 })).map(([one, two, times]) => {
			const all = Array.from({ length: times }, (_, n) => [...(n % 2 === 0 ? one : two)]).flat();
			return Uint8Array.from(all);
		}),
		fc.json({ maxDepth: 6 }).map((text) => Buffer.from(`\u0001${text}`)),
		fc
			.tuple(fc.constantFrom("task", "result", "ep_status_report", "__proto__"), fc.jsonValue({ maxDepth: 6 }))
			.map(([message_type, data]) => Buffer.from(`\u0001${JSON.stringify({ message_type, data })}`)),
		// Lengths that promise more than there is.
		fc.uint8Array({ maxLength: 10 }).map((rest) => Uint8Array.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x07, ...rest])),
		fc.integer({ min: 1, max: 50_000 }).map((depth) => Buffer.from(`\u0001${"[".repeat(depth)}`)),
	);
};
