import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeFrame, FrameReader } from "./frames.ts";

test("frames come out as they went in, however the stream is cut", () => {
	const messages = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 });
	fc.assert(
		fc.property(messages, fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }), (messages, cuts) => {
			const stream = Buffer.concat(messages.map(encodeFrame));
			const reader = new FrameReader();
			const read: Buffer[] = [];
			for (let at = 0, cut = 0; at < stream.length; cut++) {
				const size = cuts[cut % cuts.length] as number;
				read.push(...reader.push(stream.subarray(at, at + size)));
				at += size;
			}
			expect(read.map((frame) => [...frame])).toEqual(messages.map((message) => [...message]));
		}),
	);
});

test("a length that no frame has is refused", () => {
	expect(() => new FrameReader().push(Buffer.from([255, 255, 255, 255]))).toThrow(/limit is/);
});
