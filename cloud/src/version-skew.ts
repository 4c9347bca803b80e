/**
 * Whether what one Python has pickled can be read by another: the versions of whoever wrote a task's function and
 * arguments against those of the workers, as the endpoint told them last. Pure.
 */
import { unpack } from "@errand/proto";

/** Text as `3.11.7`; undefined: not told. */
export interface Versions {
	readonly python: string | undefined;
	/** Null: not installed. */
	readonly dill: string | null | undefined;
	readonly sdk: string | null | undefined;
}

/** Serializations that only a like Python reads. Source, JSON, and those that hold source beside it are not among them. */
const versionBound: ReadonlySet<string> = new Set(["00", "01", "02"]);

/** Whether a packed function, or packed arguments, have a part that only a like Python reads. */
export function isVersionBound(packed: string): boolean {
	try {
		return unpack(packed).some((buffer) => buffer[2] === "\n" && versionBound.has(buffer.slice(0, 2)));
	} catch {
		// The worker says what is wrong with it.
		return false;
	}
}

/** Of "Python 3.11.7, dill 0.3.9, globus-compute-sdk 4.15.0", as workers tell it; undefined when it is not Python. */
export function versionsOfWorker(text: string): Versions | undefined {
	const [python = "", ...packages] = text.split(", ");
	const version = /^Python (\S+)$/.exec(python)?.[1];
	if (version === undefined) return undefined;
	const of = (name: string) => packages.find((one) => one.startsWith(`${name} `))?.slice(name.length + 1) ?? null;
	return { python: version, dill: of("dill"), sdk: of("globus-compute-sdk") };
}

/** Of a submit's `user_runtime`, whose Python is told with its build. */
export function versionsOfClient(runtime: Readonly<Record<string, unknown>> | null | undefined): Versions {
	const word = (value: unknown): string | undefined =>
		typeof value === "string" ? /^[\w.+!-]{1,64}/.exec(value)?.[0] : undefined;
	return {
		python: word(runtime?.python_version),
		dill: word(runtime?.dill_version),
		sdk: word(runtime?.globus_compute_sdk_version),
	};
}

/** How much of a version must be the same: Python's byte code changes with each minor version, its packages' classes less often. */
const parts = { python: 2, dill: 2, sdk: 1 } as const;

function differ(writer: Versions, worker: Versions): boolean {
	if (writer.python === undefined || worker.python === undefined) return false;
	if (worker.dill === null) return true;
	return (Object.keys(parts) as (keyof typeof parts)[]).some((name) => {
		const [one, other] = [writer[name], worker[name]];
		if (typeof one !== "string" || typeof other !== "string") return false;
		const start = (text: string) => text.split(".").slice(0, parts[name]).join(".");
		return start(one) !== start(other);
	});
}

function versionsText({ python, dill, sdk }: Versions): string {
	const told = [dill && `dill ${dill}`, dill === null && "no dill", sdk && `globus-compute-sdk ${sdk}`];
	return [`Python ${python}`, ...told.filter(Boolean)].join(", ");
}

/**
 * One sentence when none of the endpoint's workers is like the writer; undefined when one is, or nothing is known of
 * either. `workers`: the newest last.
 */
export function skewSentence(writer: Versions, workers: readonly Versions[], endpoint: string): string | undefined {
	const newest = workers.at(-1);
	if (newest === undefined || !workers.every((worker) => differ(writer, worker))) return undefined;
	return (
		`Written by ${versionsText(writer)}, and the workers of endpoint ${endpoint} have ${versionsText(newest)}: what is pickled ` +
		"may not be readable there. Use the same minor version of Python on both sides, or send source and JSON " +
		"(PureSourceTextInspect and JSONData)."
	);
}
