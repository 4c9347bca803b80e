import { newId, type StartUserEndpointCommand } from "@errand/proto";
import { expect, test } from "vitest";
import { startCommandFor } from "./spawner.test-harness.ts";
import { checkAge, ForeignCommand, readStartRequest } from "./start-request.ts";

const manager = newId();
const user = newId();
const changed = (change: (command: StartUserEndpointCommand) => void): StartUserEndpointCommand => {
	const command = startCommandFor(manager, user);
	change(command);
	return command;
};

test("GC-9: a command for this manager says who wants what", () => {
	expect(readStartRequest(startCommandFor(manager, user), manager)).toMatchObject({
		userEndpointId: user,
		name: `uep.${manager}.${user}`,
		username: "ada",
	});
});

test("GC-9: a command for another manager, or one that contradicts itself, is foreign", () => {
	const foreign: readonly ((command: StartUserEndpointCommand) => void)[] = [
		(command) => {
			command.kwargs.name = `uep.${newId()}.${user}`;
		},
		(command) => {
			command.kwargs.name = `uep.${manager}.${newId()}`;
		},
		(command) => {
			command.kwargs.name = `uep.${manager}.${user}/../../root`;
		},
		(command) => {
			command.kwargs.amqp_creds.heartbeat_queue_info.queue_publish_kwargs.routing_key = `${newId()}.heartbeats`;
		},
		(command) => {
			command.globus_effective_identity = newId();
		},
	];
	for (const change of foreign) expect(() => readStartRequest(changed(change), manager)).toThrow(ForeignCommand);
	expect(() => readStartRequest(startCommandFor(manager, manager), manager)).toThrow(ForeignCommand);
});

test("GC-9: a command of more than three minutes ago, or from such a clock, is refused with its age", () => {
	expect(() => checkAge(1_000_000, 1_000_000 + 179_000)).not.toThrow();
	expect(() => checkAge(1_000_000, 1_000_000 + 181_000)).toThrow("181 s off this machine's clock");
	expect(() => checkAge(1_000_000, 1_000_000 - 181_000)).toThrow("-181 s off");
	expect(() => checkAge(undefined, 0)).toThrow("has no time");
});
