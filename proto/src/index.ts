/** The contract between cloud, endpoint and SDK. Protobuf messages are in `@errand/proto/wire`, REST bodies in `@errand/proto/rest`. */
export * from "./command.ts";
export * from "./demand-key.ts";
export * from "./device-shares.ts";
export * from "./fault.ts";
export * from "./ids.ts";
export * from "./limits.ts";
export * from "./messages/frame.ts";
export * from "./payload.ts";
export * from "./scheduler-names.ts";
export * from "./start-command.ts";
export * from "./start-error.ts";
export * from "./structured-value.ts";
export * from "./task-state.ts";
export * from "./topology.ts";
export * from "./transfer.ts";
export * from "./waiting.ts";
