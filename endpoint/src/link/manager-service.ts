/** The gRPC service of `manager.proto` in grpc-js's own terms. */

import {
	type BlobChunk,
	BlobChunkSchema,
	type BlobReference,
	BlobReferenceSchema,
	type DaemonMessage,
	DaemonMessageSchema,
	fromBinary,
	type ManagerMessage,
	ManagerMessageSchema,
	toBinary,
} from "@errand/proto/wire";
import type { MethodDefinition } from "@grpc/grpc-js";

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const streams = { requestStream: true, responseStream: true } as const;

const attach: MethodDefinition<ManagerMessage, DaemonMessage> = {
	path: "/errand.v1.ManagerLink/Attach",
	...streams,
	requestSerialize: (message) => asBuffer(toBinary(ManagerMessageSchema, message)),
	requestDeserialize: (bytes) => fromBinary(ManagerMessageSchema, bytes),
	responseSerialize: (message) => asBuffer(toBinary(DaemonMessageSchema, message)),
	responseDeserialize: (bytes) => fromBinary(DaemonMessageSchema, bytes),
};

const getBlob: MethodDefinition<BlobReference, BlobChunk> = {
	path: "/errand.v1.ManagerLink/GetBlob",
	...streams,
	requestStream: false,
	requestSerialize: (message) => asBuffer(toBinary(BlobReferenceSchema, message)),
	requestDeserialize: (bytes) => fromBinary(BlobReferenceSchema, bytes),
	responseSerialize: (message) => asBuffer(toBinary(BlobChunkSchema, message)),
	responseDeserialize: (bytes) => fromBinary(BlobChunkSchema, bytes),
};

const putBlob: MethodDefinition<BlobChunk, BlobReference> = {
	path: "/errand.v1.ManagerLink/PutBlob",
	...streams,
	responseStream: false,
	requestSerialize: (message) => asBuffer(toBinary(BlobChunkSchema, message)),
	requestDeserialize: (bytes) => fromBinary(BlobChunkSchema, bytes),
	responseSerialize: (message) => asBuffer(toBinary(BlobReferenceSchema, message)),
	responseDeserialize: (bytes) => fromBinary(BlobReferenceSchema, bytes),
};

export const managerService = { attach, getBlob, putBlob };
