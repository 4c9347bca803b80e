import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "@errand/proto";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { parseConfig } from "../../endpoint/src/config/config.ts";
import type { QueueConfig } from "../../endpoint/src/config/queue.ts";
import { endpointMark } from "../../endpoint/src/scheduler/job-mark.ts";
import { schedulerContract } from "../../endpoint/src/scheduler/scheduler.contract.ts";
import type { BlockSpec, Scheduler } from "../../endpoint/src/scheduler/scheduler.ts";
import { openSshScheduler } from "../../endpoint/src/scheduler/ssh/ssh.ts";
import { silentLogger } from "../../endpoint/src/service/logger.ts";
import { startSshd, type TestSshd } from "../harness/sshd.ts";

const marks = new Set<string>();
let sshd: TestSshd;
beforeAll(async () => {
	sshd = await startSshd();
});
afterAll(async () => {
	for (const mark of marks) sshd.forget(mark);
	await sshd.stop();
});

function openIn(directory: string, hosts = ["alpha", "beta"]): Scheduler {
	marks.add(endpointMark(directory));
	writeFileSync(join(directory, "ssh_config"), sshd.clientConfig);
	return openSshScheduler({ directory, commandTimeoutMs: 20_000, log: silentLogger }, { hosts });
}

describe("a list of hosts", () => {
	schedulerContract((directory) => openIn(directory), {
		config: "hosts: [alpha, beta]",
		limitMs: 10_000,
		refused: { config: "hosts: [alpha, beta]\naccount: chemistry", words: /ssh has nothing for account \(chemistry\)/ },
		silence: { begin: () => sshd.close(), end: () => sshd.listen() },
	});
});

describe("blocks on hosts", () => {
	const inTime = { timeout: 20_000, interval: 200 };
	let directory: string;
	let scheduler: Scheduler;
	let jobs: string[];
	beforeEach(() => {
		directory = mkdtempSync(join(tmpdir(), "errand-ssh-"));
		jobs = [];
	});
	afterEach(async () => {
		await scheduler.cancel(jobs, 0);
		scheduler.close();
		rmSync(directory, { recursive: true, force: true });
	});

	function specOf(command: BlockSpec["command"], config: string, environment = {}): BlockSpec {
		const text = `scheduler: ssh\nhosts: [alpha, beta]\n${config}`;
		const queue = parseConfig(text, "config.yaml", directory).queues[0] as QueueConfig;
		return {
			blockId: newId(),
			jobName: "errand-ssh",
			queue,
			command,
			environment,
			workerInit: "",
			nodes: queue.nodesPerBlock,
			logPath: join(directory, "logs", "block.log"),
		};
	}
	async function submit(spec: BlockSpec): Promise<string> {
		const id = await scheduler.submit(spec);
		jobs.push(id);
		return id;
	}
	const statusOf = async (id: string) => (await scheduler.poll([id])).get(id);

	test("a block of two nodes runs on two hosts until its walltime, and the next one finds no free host", async () => {
		scheduler = openIn(directory);
		const spec = specOf(["/bin/sh", "-c", "echo up; exec sleep 1000"], "nodes_per_block: 2\nwalltime: 4s");
		const id = await submit(spec);
		expect(id).toBe(`${spec.blockId}@alpha,beta`);
		await expect(scheduler.submit(specOf(["/bin/true"], ""))).rejects.toThrow(/of 2 hosts 0 are free/);
		await vi.waitFor(async () => expect((await statusOf(id))?.state).toBe("ended"), inTime);
		expect(await statusOf(id)).toMatchObject({ end: "timeout" });
		expect(readFileSync(spec.logPath, "utf8").match(/up/g)).toHaveLength(2);
	});

	test("a host that does not answer is passed over, and what is on it is unknown, not ended", async () => {
		scheduler = openIn(directory, ["gone", "alpha"]);
		const id = await submit(specOf(["/bin/sleep", "1000"], ""));
		expect(id).toMatch(/@alpha$/);
		const lost = `${newId()}@gone`;
		const states = await scheduler.poll([id, lost]);
		expect(states.get(id)?.state).toBe("running");
		expect(states.get(lost)).toMatchObject({ state: "unknown", reason: expect.stringContaining("refused") });
	});

	test("a block lives as long as any of its processes, whatever became of the one that leads it", async () => {
		scheduler = openIn(directory, ["alpha"]);
		const spec = specOf(["/bin/sleep", "1000"], "", { TOKEN: "very-secret-token" });
		const id = await submit(spec);
		const place = join(sshd.blocks, endpointMark(directory), "alpha", spec.blockId);
		const leader = Number(readFileSync(join(place, "process"), "utf8").split(" ")[0]);
		process.kill(leader, "SIGKILL");
		expect((await statusOf(id))?.state).toBe("running");
		const words = readdirSync("/proc")
			.filter((entry) => /^\d+$/.test(entry))
			.map(commandLine);
		expect(words.some((line) => line.includes("very-secret-token"))).toBe(false);
		await scheduler.cancel([id], 0);
		expect(await statusOf(id)).toMatchObject({ state: "ended", end: "cancelled" });
	});
});

function commandLine(pid: string): string {
	try {
		return readFileSync(`/proc/${pid}/cmdline`, "utf8");
	} catch {
		return ""; // it has ended
	}
}
