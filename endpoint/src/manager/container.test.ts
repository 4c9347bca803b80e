import { execFileSync } from "node:child_process";
import {
	chmodSync,
	copyFileSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { ensureDebianPackages } from "../../../test/harness/debian.ts";
import { type ContainerRun, type ContainerType, runtimeOf } from "./container.ts";
import { command, failureIn, javascript, jsonOf, python, ScriptedDaemon } from "./scripted-daemon.ts";

const run: ContainerRun = {
	image: "lab/tool:1",
	directory: "/project/box",
	binds: ["/project", "/scratch"],
	variables: ["ERRAND_TASK_ID"],
	gpus: "nvidia",
	cpus: "0-3",
	userId: 501,
	groupId: 20,
};

describe("the words of each program that runs containers", () => {
	test.each([
		["apptainer", "apptainer exec --bind /project,/scratch --pwd /project/box --nv -v lab/tool:1"],
		["singularity", "singularity exec --bind /project,/scratch --pwd /project/box --nv -v lab/tool:1"],
		[
			"docker",
			"docker run --rm --init --network=host --user=501:20 --volume=/project:/project --volume=/scratch:/scratch --workdir=/project/box --env=ERRAND_TASK_ID --cpuset-cpus=0-3 --gpus all -v lab/tool:1",
		],
		[
			"podman",
			"podman run --rm --init --network=host --userns=keep-id --volume=/project:/project --volume=/scratch:/scratch --workdir=/project/box --env=ERRAND_TASK_ID --cpuset-cpus=0-3 --gpus all -v lab/tool:1",
		],
		[
			"shifter",
			"shifter --image=lab/tool:1 --volume=/project:/project --volume=/scratch:/scratch --workdir=/project/box -v --",
		],
	] as [ContainerType, string][])("%s", (type, words) => {
		const runtime = runtimeOf({ type, image: undefined, options: "", command: undefined });
		expect(runtime.words(run, ["-v"]).join(" ")).toBe(words);
	});

	test("an endpoint's own command is filled word by word: no shell reads an image's name", () => {
		const template = "ch-run -w --bind={bind} --cd={directory} {options} {image} -- {command}";
		const runtime = runtimeOf({ type: "custom", image: undefined, options: "", command: template });
		expect(runtime.words({ ...run, image: "a b; rm -rf" }, ["-v"])).toEqual([
			"ch-run",
			"-w",
			"--bind=/project",
			"--bind=/scratch",
			"--cd=/project/box",
			"-v",
			"a b; rm -rf",
			"--",
		]);
	});
});

/** The files of an image: a shell, a mark, and places to bind what the host has. */
function makeRoot(root: string): void {
	for (const folder of ["bin", "dev", "proc", "sys", "tmp", "etc", "home", "root", "run", "usr", "var", "mnt"])
		mkdirSync(join(root, folder), { recursive: true });
	for (const file of ["passwd", "group", "hosts", "resolv.conf"]) writeFileSync(join(root, "etc", file), "");
	for (const folder of ["lib", "lib64"]) symlinkSync(`usr/${folder}`, join(root, folder));
	copyFileSync("/bin/busybox", join(root, "bin", "busybox"));
	for (const name of ["sh", "cat", "sleep", "echo", "ls"]) symlinkSync("busybox", join(root, "bin", name));
	writeFileSync(join(root, "etc", "image"), "in the image\n");
}

describe("CON-1: tasks in real containers, by Charliecloud", () => {
	let image = "";
	let daemon: ScriptedDaemon;
	beforeAll(async () => {
		await ensureDebianPackages(["charliecloud", "busybox-static"]);
		// What the host has of Python and Node.js is bound.
		image = mkdtempSync(join(tmpdir(), "errand-image-"));
		makeRoot(image);
		daemon = await new ScriptedDaemon({
			options: {
				cores: 4,
				maxWorkers: 2,
				mpiLauncher: "mpirun",
				container: {
					type: "custom",
					options: "",
					command: "ch-run -w --bind={bind} --bind=/usr --cd={directory} {options} {image} -- {command}",
				},
			},
			environment: { USER: "root", OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" },
		}).open();
	}, 120_000);
	afterAll(async () => {
		await daemon.close();
		rmSync(image, { recursive: true, force: true });
	});

	test("a command sees the image's files, its own working directory and its environment", async () => {
		const text = 'cat /etc/image; echo "$ERRAND_TASK_ID"; echo kept > made-here; ls';
		const ended = jsonOf(await daemon.run(command(text), { resources: { containerImage: image } })) as {
			stdout: string;
		};
		expect(ended.stdout).toMatch(/^in the image\n[0-9a-f-]{36}\nmade-here\n$/);
	});

	test("a Python function runs in a worker inside the image, which stays for the next", async () => {
		const look = python("def f():\n    import os\n    return [open('/etc/image').read(), os.getpid()]\n");
		const [first, second] = [
			jsonOf(await daemon.run(look, { resources: { containerImage: image } })),
			jsonOf(await daemon.run(look, { resources: { containerImage: image } })),
		] as [string, number][];
		expect(first?.[0]).toBe("in the image\n");
		expect(second).toEqual(first);
		const outside = python("def f():\n    import os\n    return os.path.exists('/etc/image')\n");
		expect(jsonOf(await daemon.run(outside))).toBe(false);
	});

	test("so does a JavaScript function", async () => {
		const look = javascript(
			'import { readFileSync } from "node:fs";\nexport const f = () => readFileSync("/etc/image", "utf8");',
		);
		expect(jsonOf(await daemon.run(look, { resources: { containerImage: image } }))).toBe("in the image\n");
	});

	test("a task that is cancelled or out of time leaves nothing of its container", async () => {
		const ended = jsonOf(
			await daemon.run(command("echo begun; exec sleep 600", { walltime_ms: 500 }), {
				resources: { containerImage: image },
			}),
		);
		expect(ended).toMatchObject({ returncode: 124, stdout: "begun\n" });
	});

	test("an image that is not there is said with its name and the node's, before anything runs", async () => {
		const failure = failureIn(await daemon.run(command("true"), { resources: { containerImage: "/images/none.sif" } }));
		expect(failure.code).toBe("RUNTIME_MISSING");
		expect(failure.message).toMatch(/there is no container image \/images\/none\.sif on this node/);
	});

	test("MPI outside, image inside: each rank is a process in the container", async () => {
		await ensureDebianPackages(["openmpi-bin"]);
		const ended = jsonOf(
			await daemon.run(command('echo "$OMPI_COMM_WORLD_RANK $(cat /etc/image)"'), {
				resources: { containerImage: image, ranksPerNode: 2 },
			}),
		) as { stdout: string };
		expect(ended.stdout.trim().split("\n").sort()).toEqual(["0 in the image", "1 in the image"]);
	});
});

describe("CON-1: commands in real containers, by Podman", () => {
	const image = "localhost/errand-lab:1";
	let directory = "";
	let environment: Record<string, string>;
	const podman = (...words: string[]): string =>
		execFileSync("podman", words, { env: { ...process.env, ...environment }, encoding: "utf8" });
	beforeAll(async () => {
		await ensureDebianPackages(["podman", "runc", "catatonit", "busybox-static"]);
		directory = mkdtempSync(join(tmpdir(), "errand-podman-"));
		const at = (name: string) => join(directory, name);
		environment = {
			CONTAINERS_CONF: at("containers.conf"),
			CONTAINERS_STORAGE_CONF: at("storage.conf"),
			HOME: directory,
		};
		// Plain files and cgroups without systemd: what works in a container, and on a node that has neither.
		writeFileSync(
			at("storage.conf"),
			`[storage]\ndriver = "vfs"\nrunroot = "${at("run")}"\ngraphroot = "${at("graph")}"\n`,
		);
		writeFileSync(
			at("containers.conf"),
			'[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\n',
		);
		makeRoot(at("root"));
		execFileSync("tar", ["-C", at("root"), "-cf", at("root.tar"), "."]);
		podman("import", "--quiet", at("root.tar"), image);
	}, 120_000);
	afterAll(() => {
		podman("rm", "--all", "--force", "--time=0");
		rmSync(directory, { recursive: true, force: true });
	});

	test("a command sees the image, its working directory and its variables, and leaves no container, in time or out of it", async () => {
		const daemon = await new ScriptedDaemon({
			options: { container: { type: "podman", image, options: "" }, environment: { FLAVOUR: "strong" } },
			environment,
		}).open();
		try {
			const ended = await daemon.run(
				command('cat /etc/image; echo "$FLAVOUR $ERRAND_TASK_ID"; echo x > made-here; ls'),
			);
			expect((jsonOf(ended) as { stdout: string }).stdout).toMatch(/^in the image\nstrong [0-9a-f-]{36}\nmade-here\n$/);
			const late = await daemon.run(command("echo begun; sleep 600", { walltime_ms: 1500 }));
			expect(jsonOf(late)).toMatchObject({ returncode: 124, stdout: "begun\n" });
			await vi.waitFor(() => expect(podman("ps", "--quiet")).toBe(""), { timeout: 10_000, interval: 200 });
		} finally {
			await daemon.close();
		}
	});
});

describe("containers that a service starts", () => {
	let directory = "";
	beforeAll(() => {
		directory = mkdtempSync(join(tmpdir(), "errand-docker-"));
		// Its words are kept; an image is had after it was fetched, and one cannot be.
		writeFileSync(
			join(directory, "docker"),
			`#!/bin/bash
			echo "$*" >> ${directory}/words
			case "$1 $2 $3" in
			"image inspect lab/tool:1") test -e ${directory}/fetched ;;
			"pull lab/tool:1 ") touch ${directory}/fetched ;;
			"image inspect "*) exit 1 ;;
			"pull "*) echo "manifest for $2 not found" >&2; exit 1 ;;
			*) while [ "$1" != lab/tool:1 ]; do shift; done; shift; exec "$@" ;;
			esac`,
		);
		chmodSync(join(directory, "docker"), 0o755);
	});
	afterAll(() => rmSync(directory, { recursive: true, force: true }));

	test("fetch an image once, for all tasks; functions are refused there", async () => {
		const daemon = await new ScriptedDaemon({
			options: { container: { type: "docker", image: "lab/tool:1", options: "--tty" } },
			environment: { PATH: `${directory}:${process.env.PATH}` },
		}).open();
		try {
			for (let task = 0; task < 2; task++)
				expect(jsonOf(await daemon.run(command("echo inside")))).toMatchObject({
					stdout: "inside\n",
					cmd: "echo inside",
				});
			const words = readFileSync(join(directory, "words"), "utf8").trim().split("\n");
			expect(words.map((line) => line.split(" ")[0])).toEqual(["image", "pull", "run", "run"]);
			expect(words[2]).toMatch(
				/--env=ERRAND_WORKER_ID.* --env=ERRAND_TASK_ID .*--tty lab\/tool:1 \/bin\/sh -c echo inside$/,
			);
			const missing = failureIn(await daemon.run(command("true"), { resources: { containerImage: "lab/none:9" } }));
			expect(missing.message).toContain(
				"the container image lab/none:9 cannot be had: manifest for lab/none:9 not found",
			);
			const refused = failureIn(await daemon.run(python("def f():\n    return 1\n")));
			expect(refused.message).toContain("only commands run in containers of this endpoint's container_type");
		} finally {
			await daemon.close();
		}
	});

	test("an endpoint without containers refuses a task that names an image", async () => {
		const daemon = await new ScriptedDaemon().open();
		try {
			const failure = failureIn(await daemon.run(command("true"), { resources: { containerImage: "lab/tool:1" } }));
			expect(failure.message).toContain(
				"asks for the container image lab/tool:1, and this endpoint runs no containers",
			);
		} finally {
			await daemon.close();
		}
	});
});
