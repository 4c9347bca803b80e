import fc from "fast-check";
import { expect, it } from "vitest";
import { decodeMethod, encodeMethod, methods } from "./codec.ts";
import { contentFrames, deliverFrame, FrameSplitter } from "./frames.ts";

it("frames are found again however the bytes are cut", () => {
	fc.assert(
		fc.property(
			fc.array(
				fc.record({
					body: fc.uint8Array({ maxLength: 300 }),
					properties: fc.uint8Array({ minLength: 2, maxLength: 20 }),
				}),
			),
			fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
			fc.integer({ min: 64, max: 400 }),
			(contents, cuts, frameMax) => {
				const sent = Buffer.concat(
					contents.flatMap(({ body, properties }, at) =>
						contentFrames(
							deliverFrame(1, Buffer.from("tag"), at + 1, false, Buffer.from("x"), Buffer.from("key")),
							1,
							{ body: Buffer.from(body), properties: Buffer.from(properties) },
							frameMax,
						),
					),
				);
				const splitter = new FrameSplitter(frameMax);
				const bodies: number[][] = [];
				const tags: unknown[] = [];
				let offset = 0;
				for (let turn = 0; offset < sent.length; turn++) {
					const end = offset + (cuts[turn % cuts.length] as number);
					splitter.push(
						Buffer.from(sent.subarray(offset, end)),
						(type, _channel, payload) => {
							if (type === 1) tags.push(decodeMethod(payload.readUInt32BE(0), payload.subarray(4)).deliveryTag);
							else if (type === 2) bodies.push([]);
							else bodies.at(-1)?.push(...payload);
						},
						() => true,
					);
					offset = end;
				}
				expect(bodies).toEqual(contents.map(({ body }) => [...body]));
				expect(tags).toEqual(contents.map((_, at) => at + 1));
			},
		),
	);
});

it("a delivery built by hand is the one of the tables", () => {
	const [consumerTag, exchange, routingKey] = ["tag", "results", "some.key"];
	for (const deliveryTag of [1, 2 ** 31, 2 ** 40 + 7])
		for (const redelivered of [true, false])
			expect(
				deliverFrame(
					7,
					Buffer.from(consumerTag),
					deliveryTag,
					redelivered,
					Buffer.from(exchange),
					Buffer.from(routingKey),
				),
			).toEqual(encodeMethod(methods.basicDeliver, 7, { consumerTag, deliveryTag, redelivered, exchange, routingKey }));
});
