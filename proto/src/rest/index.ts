/** zod schemas of the REST bodies and stream frames; the OpenAPI document is made from them. */
export * from "./account.ts";
export * from "./auth-policy.ts";
export * from "./endpoint.ts";
export * from "./flow.ts";
export * from "./function.ts";
export * from "./resources.ts";
export * from "./sharing.ts";
export * from "./stream.ts";
export * from "./task.ts";
export * from "./transfer.ts";
export * from "./user-endpoint.ts";
