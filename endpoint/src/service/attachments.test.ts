import { create, HelloSchema } from "@errand/proto/wire";
import { expect, test } from "vitest";
import { Attachments } from "./attachments.ts";

const hello = (managerId: string, blockId: string, attempt = 0) => create(HelloSchema, { managerId, blockId, attempt });

test("managers of earlier attempts are shut out, and stay so when they come again", () => {
	const attachments = new Attachments(new Map(), 0);
	attachments.attach(hello("old", "block"), true);
	attachments.attach(hello("new", "block", 1), true);
	expect(attachments.count("block")).toBe(2);
	expect(attachments.shutOut("block", 1)).toEqual(["old"]);
	expect(attachments.shutOut("block", 1)).toEqual([]);
	expect([attachments.isShutOut("old"), attachments.isShutOut("new"), attachments.count("block")]).toEqual([
		true,
		false,
		1,
	]);
	attachments.attach(hello("late", "block"), false);
	expect(attachments.isShutOut("late")).toBe(true);
	expect(attachments.shutOut("block", undefined)).toEqual(["new"]);
	expect(attachments.count("block")).toBe(0);
});

test("blocks of an earlier daemon are waited for until all their managers have come, they have ended, or it takes too long", () => {
	const attachments = new Attachments(
		new Map([
			["two nodes", 2],
			["ended", 1],
		]),
		1000,
	);
	expect(attachments.haveAllCome(0)).toBe(false);
	attachments.attach(hello("a", "two nodes"), true);
	attachments.forget("ended");
	expect(attachments.haveAllCome(0)).toBe(false);
	attachments.attach(hello("b", "two nodes"), true);
	expect(attachments.haveAllCome(0)).toBe(true);
	expect(new Attachments(new Map([["silent", 1]]), 1000).haveAllCome(1000)).toBe(true);
});
