/** A block as Kubernetes has it: a Job whose pods are its nodes, and a Secret that holds their environment. */
import { parse } from "yaml";
import type { KubernetesConfig } from "../../config/config.ts";
import { batchScript } from "../batch-script.ts";
import { gpuCount } from "../directive.ts";
import type { JobMark } from "../job-mark.ts";
import { type BlockSpec, SubmitRejected } from "../scheduler.ts";

export const endpointLabel = "errand-endpoint";
export const blockLabel = "errand-block";
/** The file that gets what the job said, when its node does not reach that file. */
export const logAnnotation = "errand-log";
/** Kueue's: a Job with it waits until the queue lets it in. */
export const queueLabel = "kueue.x-k8s.io/queue-name";

/** A Job that has ended is shown for so long, then Kubernetes removes it, its pods and its secret. */
const keptAfterEndSeconds = 3_600;
/** SIGTERM at the walltime or when a node is drained, SIGKILL this long after. */
const terminationGraceSeconds = 30;

/** Of a block's Job and its Secret. Block ids are of letters, digits and dashes; the name is the idempotency of a submit. */
export const objectNameOf = (blockId: string): string => `errand-${blockId.toLowerCase()}`;

const labelsOf = ({ endpoint, blockId }: JobMark): Record<string, string> => ({
	[endpointLabel]: endpoint,
	[blockLabel]: blockId,
});

export function secretManifest(spec: BlockSpec, mark: JobMark): object {
	return {
		apiVersion: "v1",
		kind: "Secret",
		metadata: { name: objectNameOf(mark.blockId), labels: labelsOf(mark) },
		type: "Opaque",
		stringData: spec.environment,
	};
}

/** Throws {@link SubmitRejected} for what cannot be said in a manifest. */
export function jobManifest(spec: BlockSpec, mark: JobMark, config: KubernetesConfig): object {
	const { queue, nodes, logPath, jobName } = spec;
	const labels = labelsOf(mark);
	const { container, ...pod } = extras(queue.schedulerOptions);
	return {
		apiVersion: "batch/v1",
		kind: "Job",
		metadata: {
			name: objectNameOf(mark.blockId),
			labels: { ...labels, ...(queue.queue !== undefined && { [queueLabel]: labelValue("queue", queue.queue) }) },
			annotations: { "errand-job-name": jobName, [logAnnotation]: logPath },
		},
		spec: {
			backoffLimit: 0,
			parallelism: nodes,
			completions: nodes,
			completionMode: nodes > 1 ? "Indexed" : "NonIndexed",
			ttlSecondsAfterFinished: keptAfterEndSeconds,
			...(queue.walltimeMs !== undefined && { activeDeadlineSeconds: Math.ceil(queue.walltimeMs / 1000) }),
			template: {
				metadata: { labels },
				spec: {
					restartPolicy: "Never",
					terminationGracePeriodSeconds: terminationGraceSeconds,
					...(config.serviceAccount === undefined
						? { automountServiceAccountToken: false }
						: { serviceAccountName: config.serviceAccount }),
					...(Object.keys(config.nodeSelector).length > 0 && { nodeSelector: config.nodeSelector }),
					...(config.imagePullSecret !== undefined && { imagePullSecrets: [{ name: config.imagePullSecret }] }),
					...(queue.qos !== undefined && { priorityClassName: queue.qos }),
					...pod,
					containers: [
						{
							name: "manager",
							image: config.image,
							command: ["/bin/sh", "-c", podScript(spec, config)],
							envFrom: [{ secretRef: { name: objectNameOf(mark.blockId) } }],
							resources: resources(queue),
							...container,
						},
					],
				},
			},
		},
	};
}

/** Where the endpoint's directory is mounted the log is there, as with other schedulers; else Kubernetes has it. */
function podScript(spec: BlockSpec, config: KubernetesConfig): string {
	const command = config.command === undefined ? spec.command : (config.command as [string, ...string[]]);
	const toLog = 'if [ -n "$ERRAND_LOG" ] && (: >>"$ERRAND_LOG") 2>/dev/null; then exec >>"$ERRAND_LOG" 2>&1; fi';
	return batchScript(
		{
			...spec,
			command,
			environment: { ERRAND_LOG: spec.logPath },
			workerInit: `${toLog}\n${spec.workerInit}`,
			queue: { ...spec.queue, launcher: "single", schedulerOptions: "" },
		},
		[],
		"single",
	);
}

function resources(queue: BlockSpec["queue"]): object {
	const asked = {
		...(queue.coresPerNode !== undefined && { cpu: String(queue.coresPerNode) }),
		...(queue.memoryPerNodeBytes !== undefined && { memory: String(queue.memoryPerNodeBytes) }),
		...(gpuCount(queue) > 0 && { "nvidia.com/gpu": String(gpuCount(queue)) }),
	};
	return Object.keys(asked).length === 0 ? {} : { requests: asked, limits: asked };
}

/** `scheduler_options` is YAML: fields of the pod's spec, and under `container` fields of its container. */
function extras(text: string): { readonly container?: object } & Readonly<Record<string, unknown>> {
	if (text.trim() === "") return {};
	let value: unknown;
	try {
		value = parse(text);
	} catch (cause) {
		throw new SubmitRejected(`scheduler_options is not YAML: ${(cause as Error).message.split("\n")[0]}`, { cause });
	}
	if (typeof value !== "object" || value === null || Array.isArray(value))
		throw new SubmitRejected("scheduler_options must be fields of a pod's spec, like `tolerations: [...]`");
	return value as Record<string, unknown>;
}

function labelValue(setting: string, value: string): string {
	if (!/^[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$/.test(value))
		throw new SubmitRejected(`${setting} is not the name of a queue of Kueue: ${JSON.stringify(value)}`);
	return value;
}
