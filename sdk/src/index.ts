/**
 * Submit functions to supercomputers and get futures back.
 *
 * ```ts
 * import { Executor, python, shell } from "@errand/sdk";
 * await using executor = new Executor({ endpoint: "local" });
 * console.log(await executor.submit((a: number, b: number) => a + b, 2, 3));
 * ```
 */
export {
	type DeviceLoginRequest,
	type DevicePrompt,
	type DeviceTokens,
	requestDeviceLogin,
} from "./auth/device-flow.ts";
export {
	type ClientCredentialsOptions,
	clientCredentialsTokenSource,
	staticTokenSource,
	type TokenSource,
} from "./auth/token-source.ts";
export type { AuthPolicies, AuthPolicyChange, AuthPolicyCreation } from "./auth-policies.ts";
export {
	type AccountCreation,
	type AuditFilter,
	type Cancelled,
	Client,
	type ClientCreated,
	type ClientOptions,
	type FunctionDocument,
	type PageOptions,
	type TaskFilter,
	type TaskOutput,
} from "./client.ts";
export {
	CancelledError,
	CaptureError,
	ClosedError,
	CloudError,
	DependencyError,
	ErrandError,
	type ErrorCode,
	LostError,
	RemoteError,
	SerializationError,
	TaskError,
	TimeoutError,
} from "./errors.ts";
export {
	Executor,
	type ExecutorOptions,
	type MapSources,
	type OrFuture,
	type ReloadedTasks,
	type ReloadOptions,
} from "./executor.ts";
export type { FutureExplanation } from "./explanation.ts";
export type {
	FlowFilter,
	FlowService,
	FlowValidated,
	MarkedOptions,
	RunDefinition,
	RunFilter,
} from "./flow-service.ts";
export { allOf, anyOf, is, not, type Question, type Rule } from "./flows/condition.ts";
export {
	type ActionOptions,
	type ActionResult,
	type FailureOptions,
	FlowBuilder,
	type FlowDocument,
	type FlowScope,
	flow,
} from "./flows/flow.ts";
export { type InputFields, type InputType, input, type Place } from "./flows/input.ts";
export { type Computed, computed, type Reference, type Value } from "./flows/reference.ts";
export type { AnyFunction } from "./function/capture.ts";
export { type ModuleOptions, module } from "./function/module.ts";
export { type MpiOptions, mpi } from "./function/mpi.ts";
export { type PythonOptions, python } from "./function/python.ts";
export type { RemoteFunction } from "./function/remote-function.ts";
export { type ShellArguments, type ShellOptions, type ShellValue, shell } from "./function/shell.ts";
export type { FutureState, OutputStream, Progress, TaskFuture } from "./future.ts";
export type { Log } from "./log.ts";
export { deviceLogin, type LoginOptions, type LogoutOptions, logout } from "./login.ts";
export type { Resources, TaskOptions } from "./resources.ts";
export type { RestOptions } from "./rest.ts";
export { type Keywords, keywords } from "./serialize/arguments.ts";
export type { ShellResult } from "./serialize/result.ts";
export type { EndpointSharing, Sharing } from "./sharing.ts";
export { type MapOptions, type MapOutcome, TaskMap } from "./task-map.ts";
export { type TransferFilter, type TransferOptions, Transfers, type TransferWait } from "./transfers.ts";
