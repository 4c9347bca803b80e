#!/usr/bin/env node
/**
 * The cloud, put together: the only file that knows which adapters there are. It listens first, so that a taken port is
 * told before anything is started, and answers 503 until everything behind it is ready.
 */
import { mkdir } from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import { join } from "node:path";
import { Fault, toProblem } from "@errand/proto";
import packageDocument from "../package.json" with { type: "json" };
import { openBlobs } from "./blobs/open-blobs.ts";
import type { Broker } from "./broker/broker.ts";
import { openConnection } from "./broker/connection.ts";
import { openEmbeddedBroker } from "./broker/embedded/embedded.ts";
import { openRabbitmq } from "./broker/rabbitmq.ts";
import { type CloudConfig, ConfigError, readConfig } from "./config.ts";
import { openDispatch } from "./dispatch.ts";
import { createApp } from "./http/app.ts";
import { openIdentity } from "./identity/identity.ts";
import { CloudEventBus } from "./observe/events.ts";
import { createLog, type Log } from "./observe/log.ts";
import { createMetrics } from "./observe/metrics.ts";
import { createOperations } from "./operations/create-operations.ts";
import { openSweeper } from "./operations/sweep.ts";
import { openElsewhere } from "./results/elsewhere.ts";
import { openIntake } from "./results/intake.ts";
import { openRecorder } from "./results/recorder.ts";
import { openEmbeddedPostgres } from "./store/embedded-postgres.ts";
import { FunctionCache } from "./store/function-cache.ts";
import { migrate, readMigrations } from "./store/migrate.ts";
import { openPool } from "./store/pool.ts";
import { Hub } from "./stream/hub.ts";
import { openStream } from "./stream/websocket.ts";

console.log(mkdir, createServer, join, Fault, toProblem, packageDocument, openBlobs, openConnection, openEmbeddedBroker, openRabbitmq, ConfigError, readConfig, openDispatch, createApp, openIdentity, CloudEventBus, createLog, createMetrics, createOperations, openSweeper, openElsewhere, openIntake, openRecorder, openEmbeddedPostgres, FunctionCache, migrate, readMigrations, openPool, Hub, openStream);
export type { Broker, CloudConfig, Log, RequestListener, Server };
