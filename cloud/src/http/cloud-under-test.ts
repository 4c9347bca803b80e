/** For tests: the HTTP and stream doors over real sockets, with operations and tokens in memory. */
import express, { type Router } from "express";
import type pino from "pino";
import { readConfig } from "../config.ts";
import { manageProjectsScope } from "../identity/scopes.ts";
import { CloudEventBus } from "../observe/events.ts";
import { createLog } from "../observe/log.ts";
import { createMetrics } from "../observe/metrics.ts";
import type { Caller } from "../policy/caller.ts";
import { openHub } from "../stream/hub.ts";
import { openStream } from "../stream/websocket.ts";
import { type App, createApp } from "./app.ts";
import { callerNamed, createFakeOperations, verifierOf } from "./fake-operations.ts";
import { openHttpServer } from "./server.ts";

export interface TestOptions {
	readonly environment?: Record<string, string>;
	readonly identityRouter?: Router;
	readonly beatMs?: number;
	readonly tokenNoticeMs?: number;
	readonly alone?: boolean;
}

/** Tokens known from the start: `ada` and `bob` (accounts), `root` (operator), `narrow` (without the scope). */
export async function openCloudUnderTest(options: TestOptions = {}) {
	const lines: Record<string, unknown>[] = [];
	const log: pino.Logger = createLog({
		level: "debug",
		destination: { write: (line: string) => void lines.push(JSON.parse(line)) },
	});
	const tokens = new Map<string, Caller>([
		["ada", callerNamed("ada")],
		["bob", callerNamed("bob")],
		["root", callerNamed("root", { operator: true, admin: true, scopes: new Set() })],
		["narrow", callerNamed("narrow", { scopes: new Set(["openid"]) })],
	]);
	const authTokens = new Map<string, Caller>(
		["ada", "bob", "narrow"].map((name) => {
			const scopes = new Set(name === "narrow" ? ["openid"] : ["openid", manageProjectsScope]);
			return [name, { ...(tokens.get(name) as Caller), scopes }];
		}),
	);
	const operations = createFakeOperations();
	const verifier = verifierOf(tokens);
	const events = new CloudEventBus();
	const metrics = createMetrics(events);
	const server = await openHttpServer({ host: "127.0.0.1", port: 0, log });
	const app: App = createApp({
		operations,
		verifier,
		authVerifier: verifierOf(authTokens),
		identityRouter: options.identityRouter ?? express.Router(),
		log,
		metrics,
		config: readConfig({ ERRAND_HOME: "/nowhere", ...options.environment }),
		publicUrl: server.url,
		version: "0.0.0-test",
		checkReplies: true,
	});
	const hub = openHub({ events, resultsAfter: operations.resultsAfter, log, alone: options.alone ?? true });
	const { beatMs, tokenNoticeMs } = options;
	const door = openStream({
		hub,
		operations,
		verifier,
		log,
		app,
		metrics,
		...(beatMs !== undefined && { beatMs }),
		...(tokenNoticeMs !== undefined && { tokenNoticeMs }),
	});
	server.serve({ handle: app.handle, upgrade: door.upgrade });
	return {
		url: server.url,
		port: server.port,
		app,
		operations,
		tokens,
		events,
		hub,
		door,
		lines,
		metrics,
		/** A request with a token, `ada`'s unless said otherwise; the reply's body parsed. */
		async call(
			method: string,
			path: string,
			more: { token?: string; body?: unknown; headers?: Record<string, string> } = {},
		) {
			const headers: Record<string, string> = { ...more.headers };
			const token = more.token ?? "ada";
			if (token !== "") headers.authorization = `Bearer ${token}`;
			if (more.body !== undefined) headers["content-type"] ??= "application/json";
			const raw = typeof more.body === "string" || more.body instanceof Uint8Array;
			const body = more.body === undefined ? null : raw ? (more.body as string) : JSON.stringify(more.body);
			const response = await fetch(server.url + path, { method, headers, body });
			const text = await response.text();
			const isJson = response.headers.get("content-type")?.startsWith("application/json") ?? false;
			return {
				status: response.status,
				headers: response.headers,
				text,
				json: isJson && text !== "" ? JSON.parse(text) : undefined,
			};
		},
		async [Symbol.asyncDispose]() {
			await door.close();
			hub.close();
			await server.close();
			metrics.close();
		},
	};
}

export type CloudUnderTest = Awaited<ReturnType<typeof openCloudUnderTest>>;
