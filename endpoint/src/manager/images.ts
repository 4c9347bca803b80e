/** The images of tasks on this node: whether each can be had is found out once, before the first task in it starts. */
import { execFile } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import type { ContainerConfig } from "../config/queue.ts";
import { type ContainerRun, runtimeOf } from "./container.ts";
import type { Logger } from "./link.ts";

/** Large images over slow lines; a task's own walltime begins after this. */
const fetchLimitMs = 3_600_000;
const lastWordsBytes = 2000;

export interface ImagesSettings {
	readonly container: ContainerConfig | undefined;
	/** Directories that every container sees. */
	readonly binds: readonly string[];
	/** The PATH that tasks see. */
	readonly path: string;
	readonly log: Logger;
}

export interface ImageRun extends Pick<ContainerRun, "image" | "directory" | "variables" | "cpus"> {
	/** The task holds GPUs. */
	readonly gpus: boolean;
	/** What it must see beyond what every container here sees. */
	readonly places: readonly string[];
}

export class Images {
	readonly #settings: ImagesSettings;
	/** In hand, or being fetched: settles with why not. */
	readonly #known = new Map<string, Promise<string | undefined>>();

	constructor(settings: ImagesSettings) {
		this.#settings = settings;
	}

	/** Of tasks that name none; empty: they run on the node itself. */
	get own(): string {
		return this.#settings.container?.image ?? "";
	}

	/** Whether workers run in containers here, not only commands. */
	get holdWorkers(): boolean {
		const { container } = this.#settings;
		return container !== undefined && runtimeOf(container).inherits;
	}

	/** Resolves with why no task can run in this image here; undefined when one can. A failure is looked at anew by the next. */
	async ready(image: string): Promise<string | undefined> {
		const known = this.#known.get(image) ?? this.#fetch(image);
		this.#known.set(image, known);
		const failure = await known;
		if (failure !== undefined) this.#known.delete(image);
		return failure;
	}

	/** The words before a program's own that start it in the image. Only after {@link ready}. */
	words(run: ImageRun): readonly string[] {
		const { container, binds } = this.#settings;
		if (container === undefined) return [];
		const options = container.options.split(/\s+/).filter(Boolean);
		const ids = { userId: process.getuid?.() ?? 0, groupId: process.getgid?.() ?? 0 };
		const gpus = run.gpus ? (existsSync("/dev/kfd") ? "amd" : "nvidia") : "none";
		return runtimeOf(container).words({ ...run, ...ids, gpus, binds: [...binds, ...run.places] }, options);
	}

	async #fetch(image: string): Promise<string | undefined> {
		const { container, log } = this.#settings;
		if (container === undefined)
			return `it asks for the container image ${image}, and this endpoint runs no containers: set container_type`;
		const { program, look, fetch } = runtimeOf(container);
		if (!this.#isThere(program))
			return `container_type ${container.type} needs ${program}, which is not on PATH ${this.#settings.path}`;
		if (image.startsWith("/") && !existsSync(image)) return `there is no container image ${image} on this node`;
		if (look === undefined || fetch === undefined || (await this.#run(look(image))) === undefined) return undefined;
		log.info({ image }, "fetching a container image");
		const failure = await this.#run(fetch(image));
		return failure === undefined ? undefined : `the container image ${image} cannot be had: ${failure}`;
	}

	#isThere(program: string): boolean {
		if (program.includes("/")) return existsSync(program);
		return this.#settings.path.split(delimiter).some((folder) => {
			try {
				accessSync(join(folder, program), constants.X_OK);
				return true;
			} catch {
				return false;
			}
		});
	}

	/** Resolves with its last words when it fails. */
	#run([program, ...words]: readonly string[]): Promise<string | undefined> {
		return new Promise((resolve) => {
			const options = { timeout: fetchLimitMs, env: { ...process.env, PATH: this.#settings.path } };
			execFile(program ?? "", words, options, (error, _, stderr) =>
				resolve(error === null ? undefined : (stderr.trim() || error.message).slice(-lastWordsBytes)),
			);
		});
	}
}
