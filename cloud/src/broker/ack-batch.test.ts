import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AckBatch } from "./ack-batch.ts";

/** A broker's view of one channel: what is delivered and not settled, and the frames that came. */
function fakeChannel() {
	const unsettled = new Set<number>();
	let frames = 0;
	const settle = (tag: number, multiple: boolean): void => {
		frames++;
		const tags = multiple ? [...unsettled].filter((open) => open <= tag) : [tag];
		if (!tags.every((each) => unsettled.delete(each)) || tags.length === 0)
			throw new Error(`unknown delivery tag ${tag}`);
	};
	return {
		unsettled,
		get frames() {
			return frames;
		},
		ack: (message: { fields: { deliveryTag: number } }, multiple = false) =>
			settle(message.fields.deliveryTag, multiple),
		nack: (message: { fields: { deliveryTag: number } }, multiple = false) =>
			settle(message.fields.deliveryTag, multiple),
	};
}

describe("acknowledgements of one turn", () => {
	it("leave as one frame when everything before them is settled", () => {
		const channel = fakeChannel();
		const acks = new AckBatch(channel);
		for (let tag = 1; tag <= 100; tag++) {
			channel.unsettled.add(tag);
			acks.delivered(tag);
		}
		for (let tag = 90; tag >= 1; tag--) acks.ack(tag);
		acks.flush();
		expect(channel.frames).toBe(1);
		expect(channel.unsettled.size).toBe(10);
	});

	it("never settle what was not acknowledged, in whatever order they come", () => {
		fc.assert(
			fc.property(
				fc.array(fc.tuple(fc.constantFrom("ack", "reject", "flush"), fc.integer({ min: 1, max: 30 })), {
					maxLength: 80,
				}),
				(steps) => {
					const channel = fakeChannel();
					const acks = new AckBatch(channel);
					const open = new Set<number>();
					for (let tag = 1; tag <= 30; tag++) {
						channel.unsettled.add(tag);
						open.add(tag);
						acks.delivered(tag);
					}
					for (const [step, tag] of steps) {
						if (step === "flush") acks.flush();
						else {
							if (step === "ack") acks.ack(tag);
							else acks.reject(tag, true);
							open.delete(tag);
						}
					}
					acks.flush();
					expect([...channel.unsettled]).toEqual([...open]);
				},
			),
		);
	});
});
