/** What every adapter of the port promises. Each adapter's test calls it with a way to open the adapter. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "@errand/proto";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { parseConfig } from "../config/config.ts";
import type { QueueConfig } from "../config/queue.ts";
import type { BlockSpec, Scheduler } from "./scheduler.ts";

const untilEndedOptions = { timeout: 10_000, interval: 20 };

export function schedulerContract(openIn: (directory: string) => Scheduler): void {
	let directory: string;
	let scheduler: Scheduler;
	const started: string[] = [];

	beforeEach(() => {
		directory = mkdtempSync(join(tmpdir(), "errand-scheduler-"));
		scheduler = openIn(directory);
	});
	afterEach(async () => {
		await scheduler.cancel(started.splice(0), 0);
		scheduler.close();
		rmSync(directory, { recursive: true, force: true });
	});

	const specOf = (script: string, more: Partial<BlockSpec> = {}): BlockSpec => ({
		blockId: newId(),
		jobName: "errand-contract",
		queue: parseConfig("", "config.yaml", directory).queues[0] as QueueConfig,
		command: [process.execPath, "-e", script],
		environment: {},
		workerInit: "",
		nodes: 1,
		logPath: join(directory, "logs", "block.log"),
		...more,
	});
	const submit = async (spec: BlockSpec): Promise<string> => {
		const id = await scheduler.submit(spec);
		started.push(id);
		return id;
	};
	const stateOf = async (id: string) => (await scheduler.poll([id])).get(id)?.state;
	const forever = "process.on('SIGTERM', () => process.exit(0)); console.log('up'); setInterval(() => {}, 1e6)";
	const logOf = (spec: BlockSpec) => readFileSync(spec.logPath, "utf8");

	test("a submitted job runs with its environment and its shell text, and its output is in the log", async () => {
		const spec = specOf("console.log(process.env.GREETING, process.env.FROM_INIT, process.argv[1])", {
			environment: { GREETING: 'it\'s "quoted" $HOME' },
			workerInit: "export FROM_INIT=prepared",
		});
		const id = await submit({ ...spec, command: [...spec.command, "a b; exit 7"] as [string, ...string[]] });
		await vi.waitFor(async () => expect(await stateOf(id)).toBe("ended"), untilEndedOptions);
		expect(logOf(spec)).toContain('it\'s "quoted" $HOME prepared a b; exit 7');
	});

	test("submitting the same block again finds the job of the first time", async () => {
		const spec = specOf(forever);
		const id = await submit(spec);
		await vi.waitFor(() => expect(logOf(spec)).toContain("up"), untilEndedOptions);
		expect(await scheduler.submit(spec)).toBe(id);
	});

	test("a job is found by its block after the daemon has gone, and by nobody else", async () => {
		const spec = specOf(forever);
		const id = await submit(spec);
		await vi.waitFor(() => expect(logOf(spec)).toContain("up"), untilEndedOptions);
		scheduler.close();
		scheduler = openIn(directory);
		expect(await scheduler.listOurs()).toEqual(new Map([[spec.blockId, id]]));
		const other = mkdtempSync(join(tmpdir(), "errand-scheduler-"));
		expect(await openIn(other).listOurs()).toEqual(new Map());
		rmSync(other, { recursive: true });
		expect(await stateOf(id)).toBe("running");
	});

	test("NEW-5: cancel ends the job and everything it started, in time or by force, and may be repeated", async () => {
		const stubborn = specOf(
			"process.on('SIGTERM', () => {}); const c = require('child_process').spawn('sleep', ['1000'], {detached: true}); " +
				"console.log('child', c.pid); setInterval(() => {}, 1e6)",
		);
		const ids = [await submit(specOf(forever)), await submit(stubborn)];
		await vi.waitFor(() => expect(logOf(stubborn)).toContain("child"), untilEndedOptions);
		const child = Number(/child (\d+)/.exec(logOf(stubborn))?.[1]);
		await scheduler.cancel(ids, 300);
		for (const id of ids) expect(await stateOf(id)).toBe("ended");
		await vi.waitFor(() => expect(() => process.kill(child, 0)).toThrow(), untilEndedOptions);
		await scheduler.cancel(ids, 300);
	});

	test("a job that the scheduler does not know has ended", async () => {
		expect(await stateOf("999999999:1")).toBe("ended");
	});

	test("an end is told as soon as it is known", async () => {
		const told = Promise.withResolvers<string>();
		scheduler.onEnded((id) => told.resolve(id));
		const id = await submit(specOf("process.exit(3)"));
		expect(await told.promise).toBe(id);
	});
}
