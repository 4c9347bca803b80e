import { describe, expect, test } from "vitest";
import { type Invitation, inImage, invitationOf } from "./share.ts";

const one = (over: Partial<Invitation>): Invitation => ({
	personal: false,
	tasksPerDay: null,
	functions: null,
	containerImage: null,
	...over,
});

describe("NEW-21: of several invitations", () => {
	test("the personal one counts, even when it allows less", () => {
		const personal = one({ personal: true, tasksPerDay: 1 });
		expect(invitationOf([one({}), personal, one({ tasksPerDay: 5 })])).toBe(personal);
	});
	test("of groups' the one with the most tasks a day counts, and no limit is the most", () => {
		const [few, many, all] = [one({ tasksPerDay: 2 }), one({ tasksPerDay: 20 }), one({})];
		expect(invitationOf([few, many])).toBe(many);
		expect(invitationOf([many, all, few])).toBe(all);
	});
	test("without any there is none", () => {
		expect(invitationOf([])).toBeUndefined();
	});
});

test("NEW-21: a guest's task runs in the image of its invitation, whatever it and its variants ask for", () => {
	const asked = {
		gpus: 1,
		container_image: "mine.sif",
		launcher_options: "--wdir /",
		variants: [{ gpus: 0, container_image: "x" }],
	};
	expect(inImage(asked, "safe.sif")).toEqual({
		gpus: 1,
		container_image: "safe.sif",
		variants: [{ gpus: 0, container_image: "safe.sif" }],
	});
	expect(inImage(null, "safe.sif")).toEqual({ container_image: "safe.sif" });
});
