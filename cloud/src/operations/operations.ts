/**
 * What the service does, as one list: the seam between the doors (HTTP, WebSocket, AMQP) and the store.
 * Each operation checks who may do it (`policy/`), throws a Fault otherwise, and returns facts in the shapes of
 * `@errand/proto/rest`. Routes only parse, call and reply.
 */
import type {
	AuthPolicyId,
	EndpointId,
	FileOutcome,
	FlowId,
	FunctionId,
	RunId,
	ShareId,
	TaskGroupId,
	TaskId,
	TaskState,
	TransferId,
	TransferStatus,
} from "@errand/proto";
import type {
	AccountGroupDocument,
	AccountGroupSummary,
	AgentAssignments,
	AuditEntry,
	AuthPolicy,
	AuthProject,
	accountGroupCreation,
	administration,
	agentPoll,
	authPolicyChange,
	authPolicyCreation,
	authProjectCreation,
	cancelled,
	EndpointKey,
	EndpointRegistered,
	EndpointShare,
	EndpointSummary,
	Explanation,
	endpointRegistration,
	endpointSharing,
	FlowDocument,
	FunctionSummary,
	flowChange,
	flowCreation,
	flowValidated,
	flowValidation,
	functionDocument,
	functionRegistration,
	Lease,
	leaseRequest,
	membershipChange,
	Page,
	RunDocument,
	RunLogEntry,
	RunVisits,
	reportTaken,
	runBatch,
	runChange,
	runDefinition,
	runStart,
	StreamResult,
	Submitted,
	submission,
	TaskDocument,
	TaskSummary,
	TransferDocument,
	TransferEvent,
	TransferFile,
	taskOutput,
	transferReport,
	transferSubmission,
	UserEndpointSummary,
} from "@errand/proto/rest";
import type * as z from "zod";
import type { Caller } from "../policy/caller.ts";

interface PageRequest {
	/** 1 to 1000. */
	limit: number;
	cursor?: string;
}

interface TaskFilter extends PageRequest {
	states?: readonly TaskState[];
	endpoint?: EndpointId;
	function?: FunctionId;
	group?: TaskGroupId;
	since?: Date;
	until?: Date;
	/** First characters of a task's id, at least 4: for people who type. */
	idPrefix?: string;
}

interface RunFilter extends PageRequest {
	flows?: readonly FlowId[];
	statuses?: readonly RunDocument["status"][];
	/** In the label. */
	text?: string;
}

interface AuditFilter extends PageRequest {
	/** An account, by id or username. */
	actor?: string;
	/** An id, as entries have it. */
	thing?: string;
	/** `endpoint.share`, or `endpoint` for all of those. */
	action?: string;
	since?: Date;
	until?: Date;
}

/** The public interface's status document of one task (`GET /v2/tasks/{id}`). */
export type PublicTaskDocument = Record<string, unknown>;

export interface Operations {
	registerFunction(caller: Caller, input: z.output<typeof functionRegistration>): Promise<FunctionId>;
	getFunction(caller: Caller, id: FunctionId): Promise<z.infer<typeof functionDocument>>;
	listFunctions(caller: Caller, request: PageRequest): Promise<Page<FunctionSummary>>;
	deleteFunction(caller: Caller, id: FunctionId): Promise<void>;

	/** `id` undefined: a new endpoint, or the caller's own of the same name. */
	registerEndpoint(
		caller: Caller,
		id: EndpointId | undefined,
		input: z.output<typeof endpointRegistration>,
	): Promise<EndpointRegistered>;
	/** By id, or by the name of one of the caller's own, or of one that is shared with the caller. */
	getEndpoint(caller: Caller, idOrName: string): Promise<EndpointSummary>;
	/** The registration and last heartbeat of the public interface (`GET /v2/endpoints/{id}`). */
	getEndpointMetadata(caller: Caller, id: EndpointId): Promise<Record<string, unknown>>;
	listEndpoints(caller: Caller, request: PageRequest): Promise<Page<EndpointSummary>>;
	/** Those of others that are shared with the caller; at most 1,000. */
	listSharedEndpoints(caller: Caller): Promise<EndpointSummary[]>;
	deleteEndpoint(caller: Caller, id: EndpointId): Promise<void>;
	/** Registrations are refused until the returned time, and the endpoint's connections end (`POST …/lock`). */
	lockEndpoint(caller: Caller, id: EndpointId): Promise<Date>;
	allowedFunctions(caller: Caller, id: EndpointId): Promise<{ restricted: boolean; functions: FunctionId[] }>;
	makeEndpointKey(caller: Caller, id: EndpointId): Promise<EndpointKey>;
	takeLease(caller: Caller, id: EndpointId, request: z.output<typeof leaseRequest>): Promise<Lease>;
	releaseLease(caller: Caller, id: EndpointId, request: z.output<typeof leaseRequest>): Promise<void>;

	/** Of a manager, the newest first: all for its owner and administrators, everybody else's own. */
	listUserEndpoints(caller: Caller, id: EndpointId, request: PageRequest): Promise<Page<UserEndpointSummary>>;

	/** Lets an account, or a group that the caller is in, submit there; again for the same: changes the limits. */
	shareEndpoint(caller: Caller, id: EndpointId, input: z.output<typeof endpointSharing>): Promise<EndpointShare>;
	listShares(caller: Caller, id: EndpointId): Promise<EndpointShare[]>;
	/** What was submitted before is run; within seconds nothing more is taken. */
	removeShare(caller: Caller, id: EndpointId, share: ShareId): Promise<void>;

	/** Groups are named by id or name, accounts by id or username. The caller administers what it makes. */
	createAccountGroup(caller: Caller, input: z.output<typeof accountGroupCreation>): Promise<AccountGroupDocument>;
	getAccountGroup(caller: Caller, group: string): Promise<AccountGroupDocument>;
	/** Those that the caller is in. */
	listAccountGroups(caller: Caller, request: PageRequest): Promise<Page<AccountGroupSummary>>;
	deleteAccountGroup(caller: Caller, group: string): Promise<void>;
	setGroupMember(
		caller: Caller,
		group: string,
		account: string,
		change: z.output<typeof membershipChange>,
	): Promise<AccountGroupDocument>;
	/** Everybody may leave; an administrator of the group may remove others. May be repeated. */
	removeGroupMember(caller: Caller, group: string, account: string): Promise<void>;
	/** What endpoints of the caller may ask of the logins of whoever submits to them. */
	createAuthPolicy(caller: Caller, input: z.output<typeof authPolicyCreation>): Promise<AuthPolicy>;
	getAuthPolicy(caller: Caller, id: AuthPolicyId): Promise<AuthPolicy>;
	/** The caller's own, and those of projects that it administers. */
	listAuthPolicies(caller: Caller, request: PageRequest): Promise<Page<AuthPolicy>>;
	/** Counts within seconds. */
	changeAuthPolicy(caller: Caller, id: AuthPolicyId, change: z.output<typeof authPolicyChange>): Promise<AuthPolicy>;
	/** Refused while an endpoint is registered with it. */
	deleteAuthPolicy(caller: Caller, id: AuthPolicyId): Promise<void>;
	createAuthProject(caller: Caller, input: z.output<typeof authProjectCreation>): Promise<AuthProject>;
	/** Those that the caller owns or administers; at most 1,000. */
	listAuthProjects(caller: Caller): Promise<AuthProject[]>;
	/** Makes an account an administrator of this cloud, or ends that; one always stays. */
	setAdministrator(caller: Caller, account: string, change: z.output<typeof administration>): Promise<void>;
	/** Who did what, newest first. */
	readAudit(caller: Caller, filter: AuditFilter): Promise<Page<AuditEntry>>;

	/** Durable and in the broker when it resolves. `idempotencyKey`: a repeat returns the same ids. */
	submit(
		caller: Caller,
		endpoint: EndpointId,
		input: z.output<typeof submission>,
		idempotencyKey: string | undefined,
	): Promise<Submitted>;

	getPublicTask(caller: Caller, id: TaskId): Promise<PublicTaskDocument>;
	/** Unknown ids come back as failed documents with a `reason`, as the public interface does. */
	getPublicTasks(caller: Caller, ids: readonly TaskId[]): Promise<Record<TaskId, PublicTaskDocument>>;
	getPublicTaskGroup(caller: Caller, id: TaskGroupId): Promise<Record<string, unknown>>;
	resultConnection(caller: Caller): Promise<{ queue_prefix: string; connection_url: string }>;

	getTask(caller: Caller, id: TaskId): Promise<TaskDocument>;
	/** What the task waits for, in one word and one sentence. */
	explainTask(caller: Caller, id: TaskId): Promise<Explanation>;
	listTasks(caller: Caller, filter: TaskFilter): Promise<Page<TaskSummary>>;
	cancelTasks(
		caller: Caller,
		what: { taskIds?: readonly TaskId[]; group?: TaskGroupId; endpoint?: EndpointId },
	): Promise<z.infer<typeof cancelled>>;
	/** A new task with the same function, arguments and resources, in the same group. */
	retryTask(caller: Caller, id: TaskId): Promise<TaskId>;
	taskOutput(
		caller: Caller,
		id: TaskId,
		stream: "stdout" | "stderr",
		offsetBytes: number,
	): Promise<z.infer<typeof taskOutput>>;

	createTaskGroup(caller: Caller): Promise<TaskGroupId>;
	/** Throws unless the caller may follow this group's stream. */
	authorizeGroup(caller: Caller, id: TaskGroupId): Promise<void>;
	/** Results of a group after a cursor, oldest first. Only after `authorizeGroup`. */
	resultsAfter(
		group: TaskGroupId,
		cursor: bigint,
		limit: number,
	): Promise<{ cursors: bigint[]; results: StreamResult[] }>;

	/** Stores the stream under its checksum and grants the caller the right to read it. */
	putBlob(
		caller: Caller,
		sha256: string,
		body: AsyncIterable<Uint8Array>,
		sizeBytes: number | undefined,
	): Promise<void>;
	/** A blob that the caller stored, or that one of its tasks has as argument or result. */
	getBlob(caller: Caller, sha256: string): Promise<{ sizeBytes: number; body: AsyncIterable<Uint8Array> }>;
	hasBlob(caller: Caller, sha256: string): Promise<boolean>;

	/** Throws FLOW_INVALID with all that is wrong with the definition. */
	createFlow(caller: Caller, input: z.output<typeof flowCreation>): Promise<FlowDocument>;
	getFlow(caller: Caller, id: FlowId): Promise<FlowDocument>;
	listFlows(caller: Caller, filter: PageRequest & { text?: string | undefined }): Promise<Page<FlowDocument>>;
	updateFlow(caller: Caller, id: FlowId, change: z.output<typeof flowChange>): Promise<FlowDocument>;
	deleteFlow(caller: Caller, id: FlowId): Promise<FlowDocument>;
	validateFlow(caller: Caller, input: z.output<typeof flowValidation>): Promise<z.input<typeof flowValidated>>;
	/** Throws FLOW_INPUT_ERROR when a run could not begin with this. */
	checkRun(caller: Caller, flow: FlowId, input: z.output<typeof runStart>): Promise<void>;
	/** A repeat with the same key gives the run that it began. */
	startRun(
		caller: Caller,
		flow: FlowId,
		input: z.output<typeof runStart>,
		idempotencyKey: string | undefined,
	): Promise<RunDocument>;
	getRun(caller: Caller, id: RunId): Promise<RunDocument>;
	listRuns(caller: Caller, filter: RunFilter): Promise<Page<RunDocument>>;
	runDefinition(caller: Caller, id: RunId): Promise<z.input<typeof runDefinition>>;
	runLog(
		caller: Caller,
		id: RunId,
		request: PageRequest & { reverse: boolean },
	): Promise<Page<RunLogEntry> & { end_cursor: string | null }>;
	runVisits(caller: Caller, id: RunId): Promise<RunVisits>;
	/** May be repeated; a run that has ended stays as it ended. */
	cancelRun(caller: Caller, id: RunId): Promise<RunDocument>;
	resumeRun(caller: Caller, id: RunId): Promise<RunDocument>;
	/** A new run that begins where this one failed. */
	rerunRun(caller: Caller, id: RunId, idempotencyKey: string | undefined): Promise<RunDocument>;
	/** Forgets a run that has ended. */
	releaseRun(caller: Caller, id: RunId): Promise<RunDocument>;
	updateRun(caller: Caller, id: RunId, change: z.output<typeof runChange>): Promise<RunDocument>;
	/** All of them, or none when one is not the caller's to change. */
	changeRuns(caller: Caller, batch: z.output<typeof runBatch>): Promise<void>;
	/** Asked for, and durable, when it resolves. `idempotencyKey`: a repeat returns the same transfer. */
	submitTransfer(
		caller: Caller,
		input: z.output<typeof transferSubmission>,
		idempotencyKey: string | undefined,
	): Promise<TransferDocument>;
	getTransfer(caller: Caller, id: TransferId): Promise<TransferDocument>;
	/** Newest first. */
	listTransfers(
		caller: Caller,
		request: PageRequest & { statuses?: readonly TransferStatus[]; idPrefix?: string },
	): Promise<Page<TransferDocument>>;
	/** May be repeated; one that is over stays as it is. */
	cancelTransfer(caller: Caller, id: TransferId): Promise<TransferDocument>;
	transferEvents(caller: Caller, id: TransferId, request: PageRequest): Promise<Page<TransferEvent>>;
	transferFiles(
		caller: Caller,
		id: TransferId,
		request: PageRequest & { outcome?: FileOutcome },
	): Promise<Page<TransferFile>>;
	/** An agent is there; resolves when there is something else for it to do than it knows, or its patience ends. */
	pollTransferAgent(caller: Caller, id: EndpointId, poll: z.output<typeof agentPoll>): Promise<AgentAssignments>;
	/** May be repeated. The reply's status tells the agent whether to go on. */
	reportTransfer(
		caller: Caller,
		id: TransferId,
		report: z.output<typeof transferReport>,
	): Promise<z.infer<typeof reportTaken>>;

	/** For `/readyz`: what does not answer, in words; empty when all is well. */
	notReady(): Promise<string[]>;
}
