import { expect, test } from "vitest";
import { TaskState as Wire } from "./gen/errand/v1/task_pb.js";
import { isFinal, mayFollow, taskStateFromWire, taskStates, taskStateToWire, taskTransitions } from "./task-state.ts";

test("every state has its number on the wire, and back", () => {
	for (const state of taskStates) expect(taskStateFromWire(taskStateToWire[state])).toBe(state);
	expect(new Set(Object.values(taskStateToWire)).size).toBe(taskStates.length);
	expect(taskStateFromWire(Wire.UNSPECIFIED)).toBeUndefined();
	expect(taskStateFromWire(99 as Wire)).toBeUndefined();
});

test("BAL-2: a final state has no successor, and every other state can reach each end", () => {
	const reachable = (from: (typeof taskStates)[number]) => {
		const seen = new Set([from]);
		for (const state of seen) for (const next of taskTransitions[state]) seen.add(next);
		return seen;
	};
	for (const state of taskStates) {
		if (isFinal(state)) expect(taskTransitions[state]).toEqual([]);
		else for (const end of ["success", "failed", "cancelled"] as const) expect(reachable(state)).toContain(end);
	}
});

test("BAL-2: nothing returns to `received`, and a task goes back only to wait for a node", () => {
	for (const from of taskStates) {
		expect(mayFollow(from, "received")).toBe(false);
		for (const to of taskTransitions[from])
			if (taskStates.indexOf(to) < taskStates.indexOf(from)) expect(to).toBe("waiting-for-nodes");
	}
});
