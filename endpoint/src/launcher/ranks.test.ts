import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { mpiKindOf, type RankPlan, rankWords } from "./ranks.ts";

const plan: RankPlan = {
	hosts: ["a1", "a2"],
	ranksPerNode: 4,
	coresPerRank: 2,
	gpusPerNode: 1,
	variables: ["ERRAND_TASK_ID", "PATH"],
	options: ["--quiet"],
};

describe("the words that start a task's ranks over its nodes", () => {
	test.each([
		[
			"srun",
			"pals",
			"srun --nodes=2 --nodelist=a1,a2 --ntasks=8 --ntasks-per-node=4 --cpus-per-task=2 --cpu-bind=none --overlap --mem=0 --kill-on-bad-exit=1 --export=ALL --input=none --quiet",
		],
		["mpiexec", "pals", "mpiexec -n 8 --ppn 4 --hosts a1,a2 --depth 2 --cpu-bind none --quiet"],
		["mpiexec", "hydra", "mpiexec -n 8 -ppn 4 -hosts a1,a2 -bind-to none --quiet"],
		[
			"mpirun",
			"openmpi",
			"mpirun -np 8 --host a1:4,a2:4 --map-by ppr:4:node:OVERSUBSCRIBE --bind-to none -x ERRAND_TASK_ID -x PATH --quiet",
		],
		["aprun", "pals", "aprun -n 8 -N 4 -d 2 -L a1,a2 -cc none --quiet"],
		["jsrun", "pals", "jsrun -n 2 -r 1 -a 4 -c 8 -g 1 -b none --quiet"],
		["flux", "pals", "flux run --nodes 2 --ntasks 8 --cores-per-task 2 --requires=hosts:a1,a2 --quiet"],
	] as const)("%s, %s", (launcher, kind, words) => {
		expect(rankWords(launcher, plan, kind)?.join(" ")).toBe(words);
	});

	test("a launcher that starts managers only, and one node's for several nodes, are none", () => {
		for (const launcher of ["ssh", "qrsh", "blaunch", "single"] as const)
			expect(rankWords(launcher, plan, "pals")).toBeUndefined();
	});

	test.each([
		["mpirun (Open MPI) 4.1.4", "openmpi"],
		["mpiexec (OpenRTE) 4.1.4", "openmpi"],
		["HYDRA build details:\n    Version: 4.1.2", "hydra"],
		["Intel(R) MPI Library for Linux* OS, Version 2021.9", "hydra"],
		["mpiexec version 1.2.12 built on Mar 1 2024", "pals"],
	] as const)("%s is %s", (text, kind) => {
		expect(mpiKindOf(text)).toBe(kind);
	});

	test("without MPI each process of the node has its number, and the worst end is the end", async () => {
		const words = rankWords("single", { ...plan, hosts: ["a1"], ranksPerNode: 3 }, "pals") as string[];
		const run = (text: string) =>
			promisify(execFile)(words[0] as string, [...words.slice(1), "/bin/sh", "-c", text]).catch((error) => error);
		const { stdout } = await run("echo $ERRAND_RANK");
		expect(stdout.trim().split("\n").sort()).toEqual(["0", "1", "2"]);
		expect(await run('test "$ERRAND_RANK" != 1 || exit 7')).toMatchObject({ code: 7 });
	});
});
