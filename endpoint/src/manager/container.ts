/** The words that start a program in a container, by the program that runs containers here. Words in, words out. */
import type { ContainerConfig } from "../config/queue.ts";

export type ContainerType = ContainerConfig["type"];

export interface ContainerRun {
	readonly image: string;
	/** Where it starts; one of `binds` or below one. */
	readonly directory: string;
	/** Seen in the container at their own paths. */
	readonly binds: readonly string[];
	/** Variables that go in, for programs that hand on only what they are told. */
	readonly variables: readonly string[];
	readonly gpus: "none" | "nvidia" | "amd";
	/** "0-3,8"; undefined: any. */
	readonly cpus: string | undefined;
	readonly userId: number;
	readonly groupId: number;
}

interface Runtime {
	/** The program; of `custom` the first word of the endpoint's own command. */
	readonly program: string;
	readonly words: (run: ContainerRun, options: readonly string[]) => readonly string[];
	/**
	 * Open files, working directory and environment are those of whoever starts it, so that a worker in it is reached as
	 * any other. Otherwise a service starts it, and only commands run in it.
	 */
	readonly inherits: boolean;
	/** Says with status 0 that the image is here, and what fetches it when it is not. */
	readonly look?: (image: string) => readonly string[];
	readonly fetch?: (image: string) => readonly string[];
}

const apptainerGpus = { none: [], nvidia: ["--nv"], amd: ["--rocm"] } as const;
const serviceGpus = {
	none: [],
	nvidia: ["--gpus", "all"],
	amd: ["--device=/dev/kfd", "--device=/dev/dri"],
} as const;

const apptainer = (program: string): Runtime => ({
	program,
	inherits: true,
	words: (run, options) => [
		...[program, "exec", "--bind", run.binds.join(","), "--pwd", run.directory],
		...apptainerGpus[run.gpus],
		...options,
		run.image,
	],
});

/** @param user words that keep the user's own id */
const service = (program: string, user: (run: ContainerRun) => readonly string[]): Runtime => ({
	program,
	inherits: false,
	look: (image) => [program, "image", "inspect", image],
	fetch: (image) => [program, "pull", image],
	words: (run, options) => [
		...[program, "run", "--rm", "--init", "--network=host", ...user(run)],
		...run.binds.map((path) => `--volume=${path}:${path}`),
		`--workdir=${run.directory}`,
		...run.variables.map((name) => `--env=${name}`),
		...(run.cpus === undefined ? [] : [`--cpuset-cpus=${run.cpus}`]),
		...serviceGpus[run.gpus],
		...options,
		run.image,
	],
});

const rootless = ({ userId }: ContainerRun): readonly string[] => (userId === 0 ? [] : ["--userns=keep-id"]);

const runtimes: { readonly [T in Exclude<ContainerType, "custom">]: Runtime } = {
	apptainer: apptainer("apptainer"),
	singularity: apptainer("singularity"),
	podman: service("podman", rootless),
	"podman-hpc": service("podman-hpc", rootless),
	docker: service("docker", ({ userId, groupId }) => [`--user=${userId}:${groupId}`]),
	shifter: {
		program: "shifter",
		inherits: true,
		look: (image) => ["shifterimg", "lookup", image],
		fetch: (image) => ["shifterimg", "pull", image],
		words: (run, options) => [
			...["shifter", `--image=${run.image}`, ...run.binds.map((path) => `--volume=${path}:${path}`)],
			...[`--workdir=${run.directory}`, ...options, "--"],
		],
	},
};

/**
 * The endpoint's own command: `{options}` becomes the words of `container_options`, `{directory}` where the program
 * starts, `{bind}` once each directory that it must see; `{command}` is the end.
 */
function custom(template: string): Runtime {
	const words = template.split(/\s+/).filter((word) => word !== "" && word !== "{command}");
	const replace = (word: string, run: ContainerRun, options: readonly string[]): readonly string[] => {
		if (word === "{options}") return options;
		const filled = word.replaceAll("{image}", run.image).replaceAll("{directory}", run.directory);
		return filled.includes("{bind}") ? run.binds.map((path) => filled.replaceAll("{bind}", path)) : [filled];
	};
	return {
		program: words[0] ?? "",
		inherits: true,
		words: (run, options) => words.flatMap((word) => replace(word, run, options)),
	};
}

export const runtimeOf = ({ type, command }: ContainerConfig): Runtime =>
	type === "custom" ? custom(command ?? "") : runtimes[type];
