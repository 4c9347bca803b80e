import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ensureDebianPackages } from "../../../test/harness/debian.ts";
import { command, failureIn, javascript, jsonOf, ScriptedDaemon } from "./scripted-daemon.ts";

const mpiEnvironment = { OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1", OMPI_MCA_btl: "tcp,self" };
const rankAndSize = 'echo "$OMPI_COMM_WORLD_RANK of $OMPI_COMM_WORLD_SIZE, $OMP_NUM_THREADS threads"';

interface Ended {
	cmd: string;
	stdout: string;
	stderr: string;
	returncode: number;
	exception_name: string | null;
}

beforeAll(() => ensureDebianPackages(["openmpi-bin"]));

describe("MPI functions, by Open MPI on one node", () => {
	let daemon: ScriptedDaemon;
	beforeAll(async () => {
		daemon = await new ScriptedDaemon({
			options: { cores: 8, maxWorkers: 4, mpiLauncher: "mpirun" },
			environment: mpiEnvironment,
		}).open();
	});
	afterAll(() => daemon.close());
	const run = async (text: string, resources: object, more: object = {}): Promise<Ended> =>
		jsonOf(await daemon.run(command(text, more), { resources })) as Ended;
	const lines = ({ stdout }: Ended): string[] => stdout.trim().split("\n").sort();

	test("GC-10: a command with ranks is every rank's, and its result is a command's", async () => {
		const ended = await run(rankAndSize, { ranksPerNode: 4, cores: 8 });
		expect(lines(ended)).toEqual([0, 1, 2, 3].map((rank) => `${rank} of 4, 2 threads`));
		expect(ended).toMatchObject({ cmd: rankAndSize, returncode: 0, exception_name: null });
	});

	test("GC-10: a rank's failure is the command's, with what it said", async () => {
		const ended = await run('test "$OMPI_COMM_WORLD_RANK" = 1 && { echo broken >&2; exit 5; }; true', {
			ranksPerNode: 2,
		});
		expect(ended).toMatchObject({ returncode: 5, exception_name: "subprocess.CalledProcessError" });
		expect(ended.stderr).toContain("broken");
	});

	test("GC-10: at the walltime its ranks are ended, with 124", async () => {
		const ended = await run("echo begun; exec sleep 600", { ranksPerNode: 2 }, { walltime_ms: 700 });
		expect(ended).toMatchObject({ returncode: 124, exception_name: "subprocess.TimeoutExpired" });
		expect(lines(ended)).toContain("begun");
	});

	test("a template that places its ranks itself finds the words for it, under both names", async () => {
		const text =
			'echo once; $ERRAND_MPI_PREFIX echo ours; $PARSL_MPI_PREFIX echo "$PARSL_NUM_RANKS on $PARSL_MPI_NODELIST"';
		expect(lines(await run(text, { ranksPerNode: 2 }))).toEqual(
			[`2 on ${hostname()}`, `2 on ${hostname()}`, "once", "ours", "ours"].sort(),
		);
	});

	test("a function with ranks runs once and is told how to start them", async () => {
		const look = javascript(
			"export const f = () => [process.env.ERRAND_MPI_PREFIX, process.env.ERRAND_RANKS, process.env.ERRAND_CORES];",
		);
		const result = jsonOf(await daemon.run(look, { resources: { ranksPerNode: 3 } }));
		expect(result).toEqual([
			`mpirun -np 3 --host ${hostname()}:3 --map-by ppr:3:node:OVERSUBSCRIBE --bind-to none`,
			"3",
			"3",
		]);
	});

	test("an MPI task waits until enough of the node is free, and those that fit run beside it", async () => {
		const text = command('date +%s%N; echo "$ERRAND_CORES"; sleep 0.2; date +%s%N');
		const tasks = [6, 6, 2].map((cores) => daemon.task(text, { resources: { cores } }));
		daemon.submit(text, tasks);
		const [first, second, small] = await Promise.all(
			tasks.map(async (task) => {
				const { execution } = await daemon.result(task);
				return { start: execution?.startedAtUs ?? 0, end: execution?.finishedAtUs ?? 0 };
			}),
		);
		if (!first || !second || !small) throw new Error("no result");
		expect(first.end <= second.start || second.end <= first.start).toBe(true);
		expect(small.start).toBeLessThan(Math.max(first.end, second.end));
	});
});

test("a manager that an MPI launcher started is no rank to the MPI tasks that it runs", async () => {
	const manager = [process.execPath, fileURLToPath(new URL("main.ts", import.meta.url))];
	const daemon = await new ScriptedDaemon({
		program: ["mpirun", "-np", "1", "--bind-to", "none", "--mca", "odls_base_sigkill_timeout", "2", ...manager],
		options: { cores: 4, launcher: "mpirun" },
		environment: mpiEnvironment,
	}).open();
	try {
		const ended = jsonOf(await daemon.run(command(rankAndSize), { resources: { ranksPerNode: 2 } })) as Ended;
		expect(ended.stdout.trim().split("\n").sort()).toEqual(["0 of 2, 1 threads", "1 of 2, 1 threads"]);
		const plain = jsonOf(await daemon.run(command("env | grep -c -E '^(PMIX|OMPI_COMM|OMPI_MCA_hwloc)'"))) as Ended;
		expect(plain.stdout).toBe("0\n");
	} finally {
		await daemon.close();
	}
});

describe("ranks by other launchers", () => {
	let directory = "";
	beforeAll(() => {
		directory = mkdtempSync(join(tmpdir(), "errand-ranks-"));
		writeFileSync(join(directory, "srun"), `#!/bin/bash\nprintf '%s\\n' "$@" > ${directory}/words\necho ran\n`);
		chmodSync(join(directory, "srun"), 0o755);
	});
	afterAll(() => rmSync(directory, { recursive: true, force: true }));

	test("inside a Slurm job it is srun, over the hosts that the task was given, and the job's id is told", async () => {
		const daemon = await new ScriptedDaemon({
			options: { cores: 4 },
			environment: {
				PATH: `${directory}:${process.env.PATH}`,
				SLURM_JOB_ID: "4711",
				SLURMD_NODENAME: "n1",
				SLURM_RESTART_COUNT: "2",
			},
		}).open();
		try {
			expect(daemon.hellos[0]).toMatchObject({ host: "n1", attempt: 2 });
			const ended = jsonOf(
				await daemon.run(command('echo "$HOME"; true'), {
					resources: { nodes: 2, ranksPerNode: 4, cores: 4 },
					hosts: ["n1", "n2"],
				}),
			) as Ended;
			expect(ended.stdout).toBe("ran\n");
			const words = readFileSync(join(directory, "words"), "utf8").split("\n");
			expect(words).toEqual(expect.arrayContaining(["--nodelist=n1,n2", "--ntasks=8", 'echo "$HOME"; true']));
			const job = jsonOf(await daemon.run(command("echo $ERRAND_JOB_ID"))) as Ended;
			expect(job.stdout, "DEP-4: the native job id").toBe("4711\n");
		} finally {
			await daemon.close();
		}
	});

	test("a launcher that cannot is said before anything runs", async () => {
		const daemon = await new ScriptedDaemon({ options: { cores: 4, mpiLauncher: "ssh" } }).open();
		try {
			const failure = failureIn(
				await daemon.run(command("true"), { resources: { nodes: 2, ranksPerNode: 1 }, hosts: ["n1", "n2"] }),
			);
			expect(failure.code).toBe("RESOURCES_UNAVAILABLE");
			expect(failure.message).toMatch(/launcher ssh starts no processes of a task over 2 nodes; set mpi_launcher/);
		} finally {
			await daemon.close();
		}
	});
});
