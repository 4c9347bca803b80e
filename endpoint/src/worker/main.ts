/** The Node.js worker: runs JavaScript functions and commands, one at a time, for the manager at file descriptor 3. */
import { create, Runtime, WorkerReplySchema, type WorkerRequest } from "@errand/proto/wire";
import { failureOf } from "./javascript/remote-failure.ts";
import { openManagerChannel } from "./manager-channel.ts";
import { TaskRunner } from "./run-task.ts";
import { watchStartedProcesses } from "./started-processes.ts";
import { workerMarker } from "./strays.ts";
import { offerTaskInterface } from "./task-interface.ts";

const waiting: WorkerRequest[] = [];
let busy = false;

const channel = openManagerChannel(
	(requests) => {
		waiting.push(...requests);
		work();
	},
	() => process.exit(0), // the manager is gone, and so is whoever wanted the result
);
const runner = new TaskRunner(channel, {
	workerId: process.env[workerMarker] ?? "",
	spillDirectory: process.env.ERRAND_SPILL_DIRECTORY ?? ".",
	keepSandboxes: process.env.ERRAND_KEEP_SANDBOXES === "1",
});

function work(): void {
	if (busy) return;
	let at = 0;
	while (at < waiting.length) {
		const { message } = waiting[at++] as WorkerRequest;
		if (message.case === "load" && message.value.function !== undefined) runner.load(message.value.function);
		if (message.case !== "run") continue;
		const waits = runner.run(message.value);
		if (waits === undefined) continue;
		busy = true;
		void waits.then(() => {
			busy = false;
			work();
		});
		break;
	}
	waiting.splice(0, at);
}

/** What nobody caught ends the task it belongs to; of a task that has ended it is only told. */
function onStray(reason: unknown): void {
	const task = runner.current;
	if (task?.fail !== undefined && runner.isRunning(task)) task.fail(reason);
	else process.stderr.write(`errand: after the end of a task: ${failureOf(reason).stack}\n`);
}

process.on("uncaughtException", onStray);
process.on("unhandledRejection", onStray);
watchStartedProcesses(() => {
	const task = runner.current;
	if (task !== undefined) task.startedProcesses = true;
});
offerTaskInterface(runner, channel);

channel.send(
	create(WorkerReplySchema, {
		message: {
			case: "ready",
			value: { runtime: Runtime.JAVASCRIPT, runtimeVersion: `Node.js ${process.versions.node}`, pid: process.pid },
		},
	}),
);
