/** The generated protobuf messages, and the runtime that reads and writes them. */
export { create, fromBinary, protoInt64, toBinary } from "@bufbuild/protobuf";
export * from "./gen/errand/v1/manager_pb.js";
export * from "./gen/errand/v1/task_pb.js";
export * from "./gen/errand/v1/worker_pb.js";
