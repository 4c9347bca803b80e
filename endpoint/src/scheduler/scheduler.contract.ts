/** What every adapter of the port promises. Each adapter's test calls it with a way to open the adapter. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "@errand/proto";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { parseConfig } from "../config/config.ts";
import type { QueueConfig } from "../config/queue.ts";
import { type BlockSpec, type JobId, type Scheduler, SchedulerSilent, SubmitRejected } from "./scheduler.ts";

/** What is particular to one scheduler, as the tests have it. */
export interface ContractSetting {
	/** config.yaml of the jobs, without `scheduler`. */
	readonly config?: string;
	/** From the submit to the end of a job that does nothing, as the scheduler tells it, at the most. */
	readonly limitMs?: number;
	/** It tells of ends before it is asked. */
	readonly tellsEnds?: boolean;
	/** A job that it never had, as the adapter would name it. */
	readonly strangeJob?: JobId;
	/** It can ask a job to end before it ends it. */
	readonly asksToEnd?: boolean;
	/** What a job started in sessions of its own ends with the job. */
	readonly endsStrays?: boolean;
	/** config.yaml of jobs that it refuses, and what it says then. */
	readonly refused?: { readonly config: string; readonly words: RegExp };
	/** Between the two it answers nothing that can be read. Whether it takes a submit meanwhile is left open. */
	readonly silence?: { begin(): Promise<void> | void; end(): Promise<void> | void };
}

export function schedulerContract(
	openIn: (directory: string) => Scheduler,
	{
		config = "",
		limitMs = 10_000,
		tellsEnds = false,
		strangeJob = "999999999:1",
		asksToEnd = true,
		endsStrays = true,
		refused,
		silence,
	}: ContractSetting = {},
): void {
	describe("the scheduler's contract", { timeout: 3 * limitMs + 10_000 }, () => {
		const inTime = { timeout: limitMs, interval: Math.min(250, limitMs / 100) };
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
		}, 2 * limitMs);

		const queueOf = (text: string) =>
			parseConfig(`scheduler: ${scheduler.name}\n${text}`, "config.yaml", directory).queues[0] as QueueConfig;
		const specOf = (script: string, more: Partial<BlockSpec> = {}): BlockSpec => ({
			blockId: newId(),
			jobName: "errand-contract",
			queue: queueOf(config),
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
		const statusOf = async (id: string) => (await scheduler.poll([id])).get(id);
		const stateOf = async (id: string) => (await statusOf(id))?.state;
		const ended = (id: string) => vi.waitFor(async () => expect(await stateOf(id)).toBe("ended"), inTime);
		const forever = "process.on('SIGTERM', () => process.exit(0)); console.log('up'); setInterval(() => {}, 1e6)";
		const logOf = (spec: BlockSpec) => (existsSync(spec.logPath) ? readFileSync(spec.logPath, "utf8") : "");
		const up = (spec: BlockSpec, word = "up") => vi.waitFor(() => expect(logOf(spec)).toContain(word), inTime);

		test("a submitted job runs with its environment and its shell text, and its output is in the log", async () => {
			const spec = specOf("console.log(process.env.GREETING, process.env.FROM_INIT, process.argv[1])", {
				environment: { GREETING: 'it\'s "quoted" $HOME' },
				workerInit: "export FROM_INIT=prepared",
			});
			const id = await submit({ ...spec, command: [...spec.command, "a b; exit 7"] as [string, ...string[]] });
			await ended(id);
			await up(spec, 'it\'s "quoted" $HOME prepared a b; exit 7');
		});

		test("submitting the same block again finds the job of the first time", async () => {
			const spec = specOf(forever);
			const id = await submit(spec);
			expect(await scheduler.submit(spec)).toBe(id);
			await up(spec);
			expect(await scheduler.submit(spec)).toBe(id);
		});

		test("a job is found by its block after the daemon has gone, and by nobody else", async () => {
			const spec = specOf(forever);
			const id = await submit(spec);
			await up(spec);
			scheduler.close();
			scheduler = openIn(directory);
			expect(await scheduler.listOurs()).toEqual(new Map([[spec.blockId, id]]));
			const other = mkdtempSync(join(tmpdir(), "errand-scheduler-"));
			const stranger = openIn(other);
			expect(await stranger.listOurs()).toEqual(new Map());
			stranger.close();
			rmSync(other, { recursive: true });
			await vi.waitFor(async () => expect(await stateOf(id)).toBe("running"), inTime);
			expect(await scheduler.submit(spec)).toBe(id);
		});

		test("NEW-5: cancel ends the job and everything it started, in time or by force, and may be repeated", async () => {
			const detached = endsStrays ? ", {detached: true}" : "";
			const stubborn = specOf(
				`process.on('SIGTERM', () => {}); const c = require('child_process').spawn('sleep', ['1000']${detached}); ` +
					"console.log('child', c.pid); setInterval(() => {}, 1e6)",
				{ logPath: join(directory, "logs", "stubborn.log") },
			);
			const ids = [await submit(specOf(forever)), await submit(stubborn)];
			await up(stubborn, "child");
			const child = Number(/child (\d+)/.exec(logOf(stubborn))?.[1]);
			await scheduler.cancel(ids, 300);
			for (const id of ids) expect(await stateOf(id)).toBe("ended");
			await vi.waitFor(() => expect(isThere(child)).toBe(false), inTime);
			await scheduler.cancel(ids, 300);
			expect(await scheduler.listOurs()).toEqual(new Map());
		});

		if (asksToEnd)
			test("a job that is cancelled gets the time it was given to hand over what it has", async () => {
				const spec = specOf(
					"process.on('SIGTERM', () => setTimeout(() => { console.log('handed over'); process.exit(0); }, 500)); " +
						"console.log('up'); setInterval(() => {}, 1e6)",
				);
				const id = await submit(spec);
				await up(spec);
				await scheduler.cancel([id], limitMs);
				await up(spec, "handed over");
			});

		test("a job that the scheduler does not know has ended", async () => {
			expect(await statusOf(strangeJob)).toMatchObject({ state: "ended", end: "vanished" });
		});

		test("one question tells of every job, ended or not", async () => {
			const lives = specOf(forever);
			const fails = specOf("process.exit(3)");
			const [living, failed] = [await submit(lives), await submit(fails)];
			await up(lives);
			await ended(failed);
			const states = await scheduler.poll([living, failed, strangeJob]);
			expect([...states.keys()].sort()).toEqual([living, failed, strangeJob].sort());
			expect(states.get(living)?.state).toBe("running");
			if (!scheduler.capabilities.forgetsEnded)
				expect(states.get(failed)).toMatchObject({ state: "ended", end: "failed", exitCode: 3 });
		});

		test("what is shown as the script is what runs, and no name in it is read by a shell", async () => {
			const mark = join(directory, "mark");
			const evil = `'"; touch ${mark}; $(touch ${mark}) \`touch ${mark}\` #`;
			const names = [
				"account",
				"queue",
				"qos",
				"constraint",
				"reservation",
				"selectOptions",
				"parallelEnvironment",
				"dependsOnJob",
			] as const;
			for (const name of names)
				for (const text of [evil, `x\ntouch ${mark}\n`]) {
					const spec = specOf("", {
						queue: { ...queueOf(config), launcher: "single", [name]: text },
						command: ["true", evil],
						environment: { EVIL: evil },
					});
					try {
						const script = scheduler.script(spec);
						if (script.startsWith("#!"))
							execFileSync("bash", ["-s"], { input: script, stdio: ["pipe", "ignore", "pipe"] });
					} catch (error) {
						expect(error).toBeInstanceOf(SubmitRejected);
					}
				}
			const worst = specOf("", { queue: { ...queueOf(config), account: evil } });
			const id = await submit(worst).catch((error: unknown) => error);
			if (typeof id === "string") {
				await vi.waitFor(async () => expect(await stateOf(id)).toMatch(/^(ended|pending|held)$/), inTime);
			} else expect(id).toBeInstanceOf(SubmitRejected);
			expect(existsSync(mark)).toBe(false);
		});

		if (tellsEnds)
			test("an end is told as soon as it is known", async () => {
				const told = Promise.withResolvers<string>();
				scheduler.onEnded((id) => told.resolve(id));
				const id = await submit(specOf("process.exit(3)"));
				expect(await told.promise).toBe(id);
			});

		if (refused !== undefined)
			test("NEW-9: a job that is refused fails with the scheduler's own words, and leaves nothing", async () => {
				const spec = specOf(forever, { queue: queueOf(refused.config) });
				const error = await scheduler.submit(spec).catch((caught: unknown) => caught);
				expect(error).toBeInstanceOf(SubmitRejected);
				expect((error as Error).message).toMatch(refused.words);
				expect(await scheduler.listOurs()).toEqual(new Map());
			});

		if (silence !== undefined)
			test("a scheduler that does not answer ends no job, and a submit repeated afterwards makes no second one", async () => {
				const before = specOf(forever, { logPath: join(directory, "logs", "before.log") });
				const first = await submit(before);
				await up(before);
				const spec = specOf(forever);
				await silence.begin();
				try {
					await expect(scheduler.poll([first])).rejects.toBeInstanceOf(SchedulerSilent);
					await expect(scheduler.listOurs()).rejects.toBeInstanceOf(SchedulerSilent);
					await expect(scheduler.submit(spec)).rejects.toBeInstanceOf(SchedulerSilent);
				} finally {
					await silence.end();
				}
				const second = await vi.waitFor(() => submit(spec), inTime);
				await up(spec);
				expect(await stateOf(first)).toBe("running");
				expect(await scheduler.listOurs()).toEqual(
					new Map([
						[before.blockId, first],
						[spec.blockId, second],
					]),
				);
				expect(logOf(spec).match(/up/g)).toHaveLength(1);
			});
	});
}

/** One that has ended and that nobody has fetched yet is gone. */
function isThere(pid: number): boolean {
	try {
		const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
		return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
	} catch {
		return false;
	}
}
