import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "@errand/proto";
import { expect, vi } from "vitest";
import { parseConfig } from "../../endpoint/src/config/config.ts";
import type { QueueConfig } from "../../endpoint/src/config/queue.ts";
import type { BlockSpec, JobStatus, Scheduler } from "../../endpoint/src/scheduler/scheduler.ts";
import { openSlurmScheduler } from "../../endpoint/src/scheduler/slurm/slurm.ts";
import { silentLogger } from "../../endpoint/src/service/logger.ts";
import type { TestSlurm } from "./slurm.ts";

/** A stand-in for a manager: says that it is up on which node, and whenever it is asked to end. */
const talkative =
	"const say = (word) => console.log(word, process.env.SLURMD_NODENAME, process.env.SLURM_RESTART_COUNT ?? 0, process.pid);" +
	"process.on('SIGTERM', () => { say('term'); process.exit(0); }); say('up'); setInterval(() => {}, 1e6);";

export interface SlurmBlock {
	readonly spec: BlockSpec;
	readonly id: string;
	/** Slurm's own. */
	readonly number: string;
	readonly log: string;
	status(): Promise<JobStatus>;
	/** Looks until it is so, as long as a slow scheduler takes. */
	until(expected: Partial<Record<keyof JobStatus, unknown>>): Promise<void>;
	untilLog(text: string | RegExp): Promise<void>;
}

/** An endpoint's directory, an adapter for it, and blocks whose managers are stand-ins. */
export class SlurmBlocks {
	readonly directory = mkdtempSync(join(tmpdir(), "errand-blocks-"));
	readonly scheduler: Scheduler;
	nowMs = 0;

	constructor(slurm: TestSlurm, environment: Readonly<Record<string, string>> = {}, commandTimeoutMs = 20_000) {
		this.scheduler = openSlurmScheduler({
			directory: this.directory,
			commandTimeoutMs,
			log: silentLogger,
			environment: { ...slurm.environment, ...environment },
			nowMs: () => this.nowMs,
		});
	}

	spec(config = "", script = talkative): BlockSpec {
		const text = `scheduler: slurm\nexclusive: false\n${config.includes("walltime") ? "" : "walltime: 5m\n"}${config}`;
		const queue = parseConfig(text, "config.yaml", this.directory).queues[0] as QueueConfig;
		const blockId = newId();
		return {
			blockId,
			jobName: `errand-test-${blockId.slice(-8)}`,
			queue,
			command: [process.execPath, "-e", script],
			environment: {},
			workerInit: "",
			nodes: queue.nodesPerBlock,
			logPath: join(this.directory, "logs", `block-${blockId}.log`),
		};
	}

	async submit(spec: BlockSpec): Promise<SlurmBlock> {
		const { scheduler } = this;
		const id = await scheduler.submit(spec);
		const status = async (): Promise<JobStatus> => (await scheduler.poll([id])).get(id) as JobStatus;
		const readLog = (): string => (existsSync(spec.logPath) ? readFileSync(spec.logPath, "utf8") : "");
		const patience = { timeout: 60_000, interval: 300 };
		return {
			spec,
			id,
			number: id.split(":")[0] as string,
			get log() {
				return readLog();
			},
			status,
			until: (expected) => vi.waitFor(async () => expect(await status()).toMatchObject(expected), patience),
			untilLog: (text) => vi.waitFor(() => expect(readLog()).toMatch(text), patience),
		};
	}

	async close(): Promise<void> {
		await this.scheduler.cancel([...(await this.scheduler.listOurs()).values()], 0);
		this.scheduler.close();
		rmSync(this.directory, { recursive: true, force: true });
	}
}
