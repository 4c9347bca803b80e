/**
 * A `kubectl` and the cluster behind it, for tests: objects are files in the directory KUBERNETES_OF_TEST, a pod's
 * container is a process of this machine. Words and shapes are those of a real one (1.31). A file `down` there: the
 * server does not answer.
 */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import {
	closeSync,
	existsSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

interface Stored {
	kind: string;
	metadata: { name: string; uid?: string; labels?: Record<string, string>; [more: string]: unknown };
	spec?: Record<string, unknown>;
	status?: Record<string, unknown>;
	stringData?: Record<string, string>;
}
interface PodSpec {
	terminationGracePeriodSeconds: number;
	containers: {
		image: string;
		command: string[];
		envFrom: { secretRef: { name: string } }[];
		resources?: { limits?: { cpu?: string } };
	}[];
}

const directory = process.env.KUBERNETES_OF_TEST ?? "";
const cores = 64;
const lookMs = 20;

const plural: Readonly<Record<string, string>> = { Job: "jobs.batch", Secret: "secrets", Pod: "pods" };
const kinds: Readonly<Record<string, string>> = { jobs: "Job", pods: "Pod", secrets: "Secret", secret: "Secret" };
const pathOf = (kind: string, name: string): string => join(directory, `${kind}.${name}.json`);
const now = (): string => `${new Date().toISOString().slice(0, 19)}Z`;

function read(kind: string, name: string): Stored | undefined {
	try {
		return JSON.parse(readFileSync(pathOf(kind, name), "utf8")) as Stored;
	} catch {
		return undefined;
	}
}
function write(object: Stored): void {
	const path = pathOf(object.kind, object.metadata.name);
	writeFileSync(`${path}.${process.pid}`, JSON.stringify(object));
	renameSync(`${path}.${process.pid}`, path);
}
/** Of an object that is still there. */
function change(kind: string, name: string, how: (object: Stored) => void): void {
	const object = read(kind, name);
	if (object === undefined) return;
	how(object);
	write(object);
}
function all(kind: string): Stored[] {
	const names = readdirSync(directory).flatMap((file) => new RegExp(`^${kind}\\.(.+)\\.json$`).exec(file)?.[1] ?? []);
	return names.flatMap((name) => read(kind, name) ?? []);
}
function matches(selector: string): (object: Stored) => boolean {
	const [, label = "", equal, among] = /^([\w./-]+)(?:=(.*)| in \((.*)\))$/.exec(selector) ?? [];
	const values = among?.split(",") ?? [equal];
	return ({ metadata }) => values.includes(metadata.labels?.[label]);
}

function refuse(words: string): never {
	process.stderr.write(`${words}\n`);
	process.exit(1);
}

function create(object: Stored): void {
	const { kind, metadata } = object;
	const name = `${plural[kind]} "${metadata.name}"`;
	if (read(kind, metadata.name))
		refuse(`Error from server (AlreadyExists): error when creating "STDIN": ${name} already exists`);
	const template = (object.spec?.template as { spec: PodSpec } | undefined)?.spec;
	if (Number(template?.containers[0]?.resources?.limits?.cpu ?? 0) > cores)
		refuse(
			`Error from server (Forbidden): error when creating "STDIN": ${name} is forbidden: ValidatingAdmissionPolicy 'cores' ` +
				`with binding 'cores' denied request: no more than ${cores} cores`,
		);
	Object.assign(metadata, { uid: randomUUID(), creationTimestamp: now() });
	write(object);
	if (template !== undefined) {
		const pods = Number(object.spec?.completions);
		for (let index = 0; index < pods; index++) createPod(object, template, index);
	}
	process.stdout.write(`${JSON.stringify(object, null, 4)}\n`);
}

/** In a cluster the controller does it, a moment later. */
function createPod(job: Stored, spec: PodSpec, index: number): void {
	const name = `${job.metadata.name}-${index}-${randomUUID().slice(0, 5)}`;
	const { labels } = (job.spec as { template: { metadata: { labels: Record<string, string> } } }).template.metadata;
	write({
		kind: "Pod",
		metadata: {
			name,
			uid: randomUUID(),
			creationTimestamp: now(),
			labels: { ...labels, "job-name": job.metadata.name },
		},
		spec: { ...spec },
		status: { phase: "Pending", conditions: [] },
	});
	const kubelet = spawn(
		process.execPath,
		[import.meta.filename, "be-kubelet", job.metadata.name, name, String(index)],
		{
			detached: true,
			stdio: "ignore",
		},
	);
	kubelet.unref();
}

async function beKubelet(jobName: string, podName: string, index: string): Promise<void> {
	const pod = read("Pod", podName);
	const container = (pod?.spec as PodSpec | undefined)?.containers[0];
	if (container === undefined) return;
	const pull = container.image.startsWith("nosuch/");
	if (pull) {
		const waiting = { reason: "ImagePullBackOff", message: `Back-off pulling image "${container.image}"` };
		change("Pod", podName, (one) => {
			one.status = { phase: "Pending", containerStatuses: [{ name: "manager", state: { waiting } }] };
		});
		return;
	}
	const secrets = container.envFrom.map(({ secretRef }) => read("Secret", secretRef.name)?.stringData);
	const log = openSync(join(directory, `${podName}.log`), "a");
	const isElsewhere = container.image.startsWith("elsewhere/");
	const [program = "", ...words] = container.command.map((word) =>
		isElsewhere ? word.replaceAll("ERRAND_LOG=", "ERRAND_LOG=/not/in/this/image") : word,
	);
	const child = spawn(program, words, {
		env: {
			PATH: process.env.PATH,
			CONTAINER_OF_TEST: podName,
			JOB_COMPLETION_INDEX: index,
			...Object.assign({}, ...secrets),
		},
		stdio: ["ignore", log, log],
		detached: true,
	});
	closeSync(log);
	const exit = new Promise<number>((resolve) => {
		child.once("exit", (code, signal) => resolve(code ?? (signal === "SIGKILL" ? 137 : 143)));
	});
	change("Pod", podName, (one) => {
		one.status = {
			phase: "Running",
			containerStatuses: [{ name: "manager", state: { running: { startedAt: now() } } }],
		};
	});
	const exitCode = await Promise.race([exit, untilDeleted(podName, child.pid as number).then(() => exit)]);
	killContainer(podName);
	const isDeleted = read("Pod", podName)?.metadata.deletionTimestamp !== undefined;
	if (isDeleted || read("Pod", podName) === undefined) rmSync(pathOf("Pod", podName), { force: true });
	else
		change("Pod", podName, (one) => {
			const terminated = { exitCode, reason: exitCode === 0 ? "Completed" : "Error" };
			one.status = {
				phase: exitCode === 0 ? "Succeeded" : "Failed",
				containerStatuses: [{ name: "manager", state: { terminated } }],
			};
		});
	change("Job", jobName, (job) => {
		const pods = all("Pod").filter(({ metadata }) => metadata.labels?.["job-name"] === jobName);
		const failed = isDeleted || pods.some(({ status }) => status?.phase === "Failed");
		const done = pods.every(({ status }) => status?.phase === "Succeeded");
		const condition = failed
			? {
					type: "Failed",
					status: "True",
					reason: "BackoffLimitExceeded",
					message: "Job has reached the specified backoff limit",
				}
			: {
					type: "Complete",
					status: "True",
					reason: "CompletionsReached",
					message: "Reached expected number of succeeded pods",
				};
		if (failed || done) job.status = { conditions: [condition] };
	});
}

/** SIGTERM to the container's first process, SIGKILL to everything in it after the grace. */
async function untilDeleted(podName: string, pid: number): Promise<void> {
	for (;;) {
		await delay(lookMs);
		const pod = read("Pod", podName);
		if (pod !== undefined && pod.metadata.deletionTimestamp === undefined) continue;
		process.kill(pid, "SIGTERM");
		await delay(Number(pod?.metadata.deletionGracePeriodSeconds ?? 1) * 1000, undefined, { ref: false });
		killContainer(podName);
		return;
	}
}

function killContainer(podName: string): void {
	for (const entry of readdirSync("/proc").filter((name) => /^\d+$/.test(name)))
		try {
			if (readFileSync(`/proc/${entry}/environ`, "latin1").includes(`CONTAINER_OF_TEST=${podName}\0`))
				process.kill(Number(entry), "SIGKILL");
		} catch {
			// it has ended
		}
}

async function remove(names: readonly string[], selector: string, graceSeconds: number): Promise<void> {
	const found = names.flatMap((name) => all(kinds[name] ?? "").filter(matches(selector)));
	for (const { kind, metadata } of found) {
		if (kind !== "Pod") rmSync(pathOf(kind, metadata.name), { force: true });
		else if (read("Pod", metadata.name)?.status?.phase !== "Running")
			rmSync(pathOf(kind, metadata.name), { force: true });
		else
			change(kind, metadata.name, (pod) => {
				Object.assign(pod.metadata, { deletionTimestamp: now(), deletionGracePeriodSeconds: graceSeconds });
			});
		process.stdout.write(`${plural[kind]?.replace("s.", ".").replace(/s$/, "")} "${metadata.name}" deleted\n`);
	}
	while (found.some(({ kind, metadata }) => read(kind, metadata.name))) await delay(lookMs);
}

function main(argv: readonly string[]): Promise<void> | void {
	const words = argv.filter((word) => !word.startsWith("--"));
	const option = (name: string): string =>
		argv.find((word) => word.startsWith(`--${name}=`))?.slice(name.length + 3) ?? "";
	if (words[0] === "be-kubelet") return beKubelet(words[1] ?? "", words[2] ?? "", words[3] ?? "0");
	if (existsSync(join(directory, "down")))
		refuse("The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?");
	if (option("namespace") !== "science")
		refuse(`Error from server (NotFound): namespaces "${option("namespace")}" not found`);
	const selector = matches(option("selector"));
	switch (words[0]) {
		case "create":
			return create(JSON.parse(readFileSync(0, "utf8")) as Stored);
		case "get": {
			const items = (words[1] ?? "").split(",").flatMap((name) => all(kinds[name] ?? "").filter(selector));
			process.stdout.write(
				`${JSON.stringify({ apiVersion: "v1", items, kind: "List", metadata: { resourceVersion: "" } }, null, 4)}\n`,
			);
			return;
		}
		case "patch":
			return change("Secret", words[2] ?? "", ({ metadata }) => {
				Object.assign(metadata, (JSON.parse(option("patch")) as { metadata: object }).metadata);
			});
		case "logs":
			for (const { metadata } of all("Pod").filter(selector))
				for (const line of readFileSync(join(directory, `${metadata.name}.log`), "utf8")
					.split("\n")
					.slice(0, -1))
					process.stdout.write(`[pod/${metadata.name}/manager] ${line}\n`);
			return;
		case "delete":
			if (words.length === 3) return rmSync(pathOf(kinds[words[1] ?? ""] ?? "", words[2] ?? ""), { force: true });
			return remove((words[1] ?? "").split(","), option("selector"), Number(option("grace-period")));
		default:
			refuse(`error: unknown command "${words[0]}" for "kubectl"`);
	}
}

/** Makes the program and an empty cluster in this directory. @returns the variables with which they are found */
export function installKubectl(place: string): { readonly PATH: string; readonly KUBERNETES_OF_TEST: string } {
	const cluster = join(place, "cluster");
	mkdirSync(cluster);
	writeFileSync(join(place, "kubectl"), `#!/bin/sh\nexec '${process.execPath}' '${import.meta.filename}' "$@"\n`, {
		mode: 0o755,
	});
	return { PATH: `${place}:${process.env.PATH}`, KUBERNETES_OF_TEST: cluster };
}

if (process.argv[1] === import.meta.filename) await main(process.argv.slice(2));
