/**
 * The one door to PostgreSQL. Statements are plain SQL; a lost connection is waited out, because the database may
 * just be starting again: every statement of ours may be repeated (it says so where that needs thought).
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Fault } from "@errand/proto";
import pg from "pg";
import type { Log } from "./embedded-postgres.ts";

interface Rows<Row> {
	readonly rows: Row[];
	/** Rows that the statement touched. */
	readonly rowCount: number;
}

/** What a statement needs: a pool or one transaction. */
export interface Session {
	/** `$1`, `$2`, … are `values`; a Uint8Array is bytea, a Date timestamptz, an array an array; bigint columns are bigint. */
	query<Row extends object = Record<string, unknown>>(text: string, values?: readonly unknown[]): Promise<Rows<Row>>;
	/** As query, parsed and planned once a connection. `name` belongs to exactly one text. */
	prepared<Row extends object = Record<string, unknown>>(
		name: string,
		text: string,
		values: readonly unknown[],
	): Promise<Rows<Row>>;
}

export interface Database extends Session {
	/** Everything or nothing. `work` runs again after a lost connection, a deadlock or a serialization failure. */
	transaction<T>(work: (session: Session) => Promise<T>): Promise<T>;
	/** Calls back for each notification on a channel, over reconnections; `onGap` after one, since some were missed. */
	listen(channel: string, onMessage: (payload: string) => void, onGap: () => void): Promise<AsyncDisposable>;
	/** Rejects when the database does not answer within `timeoutMs`. */
	check(timeoutMs: number): Promise<void>;
	/** Statements that were sent again after a lost connection; the first sending may have been committed. */
	readonly repeats: number;
	close(): Promise<void>;
}

/** How long a statement waits for a database that is away before its caller is told. */
const outageLimitMs = 30_000;
const backOffMs = { first: 20, most: 1_000 };

/** Connection lost or refused; the server shutting down, starting or out of places. */
const awayCodes = new Set([
	"ECONNREFUSED",
	"ECONNRESET",
	"EPIPE",
	"ENOENT",
	"ETIMEDOUT",
	"57P01",
	"57P02",
	"57P03",
	"53300",
]);
/** Deadlock and serialization failure: the same transaction may succeed now. */
const conflictCodes = new Set(["40P01", "40001"]);
/** Characters that PostgreSQL has no place for: NUL, and surrogates without their other half. */
const unstorableCodes = new Set(["22021", "22P05"]);

export function openPool(options: { url: string; log: Log; maxConnections?: number }): Database {
	const { log } = options;
	const config: pg.PoolConfig = {
		connectionString: options.url,
		max: options.maxConnections ?? 12,
		idleTimeoutMillis: 60_000,
		connectionTimeoutMillis: 10_000,
		keepAlive: true,
		application_name: "errand",
		// A plan is made once, perhaps while the tables are still empty, where reading all of one looks cheap; every
		// statement of ours has an index to go by. Made for any values, because planning again for each costs more than
		// running. Compiled never: a small table that is read whole all the same looks as dear as a compiler's work.
		options: "-c enable_seqscan=off -c plan_cache_mode=force_generic_plan -c jit=off",
		types: { getTypeParser },
	};
	const pool = new pg.Pool(config);
	// A connection may be lost between two statements of a transaction, when the pool does not listen and no statement
	// would tell: the next statement fails, and its caller repeats.
	pool.on("connect", (client) => client.on("error", () => undefined));
	pool.on("error", (cause) => log.warn({ reason: cause.message }, "an idle database connection was lost"));
	let closed = false;
	let repeats = 0;

	async function untilBack<T>(work: () => Promise<T>): Promise<T> {
		const deadlineMs = Date.now() + outageLimitMs;
		for (let delayMs = backOffMs.first; ; delayMs = Math.min(delayMs * 2, backOffMs.most)) {
			try {
				return await work();
			} catch (cause) {
				const conflict = conflictCodes.has(codeOf(cause));
				if (unstorableCodes.has(codeOf(cause)))
					throw new Fault("SEMANTICALLY_INVALID", "text with a NUL or half a character in it cannot be stored", {
						cause,
					});
				if (closed || !(conflict || isAway(cause))) throw cause;
				if (Date.now() + delayMs > deadlineMs)
					throw new Fault("NOT_READY", "the database does not answer; try again in a few seconds", {
						retryAfterS: 5,
						cause,
					});
				if (!conflict) log.warn({ reason: messageOf(cause), waitMs: delayMs }, "waiting for the database");
				repeats++;
				await sleep(delayMs * (0.5 + Math.random() / 2));
			}
		}
	}

	const database: Database = {
		query: <Row extends object>(text: string, values: readonly unknown[] = []) =>
			untilBack(async () => toRows<Row>(await pool.query(text, values as unknown[]))),
		prepared: <Row extends object>(name: string, text: string, values: readonly unknown[]) =>
			untilBack(async () => toRows<Row>(await pool.query({ name, text, values: values as unknown[] }))),
		transaction: (work) => untilBack(() => inTransaction(pool, work)),
		listen: (channel, onMessage, onGap) => openListener(config, log, channel, onMessage, onGap),
		get repeats() {
			return repeats;
		},
		async check(timeoutMs) {
			const timeout = sleep(timeoutMs, undefined, { ref: false }).then(() => {
				throw new Error(`the database did not answer within ${timeoutMs} ms`);
			});
			await Promise.race([pool.query("select 1"), timeout]);
		},
		async close() {
			if (closed) return;
			closed = true;
			await pool.end();
		},
	};
	return database;
}

async function inTransaction<T>(pool: pg.Pool, work: (session: Session) => Promise<T>): Promise<T> {
	const client = await pool.connect();
	let broken: Error | undefined;
	try {
		await client.query("begin");
		const value = await work({
			query: async <Row extends object>(text: string, values: readonly unknown[] = []) =>
				toRows<Row>(await client.query(text, values as unknown[])),
			prepared: async <Row extends object>(name: string, text: string, values: readonly unknown[]) =>
				toRows<Row>(await client.query({ name, text, values: values as unknown[] })),
		});
		await client.query("commit");
		return value;
	} catch (cause) {
		await client.query("rollback").catch((failed: Error) => {
			broken = failed;
		});
		throw cause;
	} finally {
		client.release(broken);
	}
}

async function openListener(
	config: pg.ClientConfig,
	log: Log,
	channel: string,
	onMessage: (payload: string) => void,
	onGap: () => void,
): Promise<AsyncDisposable> {
	const stop = new AbortController();
	let client: pg.Client | undefined;

	async function connect(): Promise<void> {
		const next = new pg.Client(config);
		next.on("notification", (message) => onMessage(message.payload ?? ""));
		next.on("error", () => undefined); // "end" follows
		await next.connect();
		await next.query(`listen ${pg.escapeIdentifier(channel)}`);
		next.once("end", () => {
			if (!stop.signal.aborted) void reconnect();
		});
		client = next;
	}
	async function reconnect(): Promise<void> {
		for (let delayMs = backOffMs.first; !stop.signal.aborted; delayMs = Math.min(delayMs * 2, backOffMs.most)) {
			log.warn({ channel, waitMs: delayMs }, "waiting for the database to listen again");
			await sleep(delayMs, undefined, { signal: stop.signal }).catch(() => undefined);
			try {
				if (!stop.signal.aborted) await connect();
				if (stop.signal.aborted) await client?.end();
				else onGap();
				return;
			} catch (cause) {
				log.debug({ channel, reason: messageOf(cause) }, "cannot listen yet");
			}
		}
	}
	await connect();
	return {
		async [Symbol.asyncDispose]() {
			stop.abort();
			await client?.end().catch(() => undefined);
		},
	};
}

function toRows<Row>(result: pg.QueryResult): Rows<Row> {
	return { rows: result.rows as Row[], rowCount: result.rowCount ?? 0 };
}

/** 64-bit integers (counts, cursors) as bigint: a number would lose their last digits. */
const getTypeParser: pg.CustomTypesConfig["getTypeParser"] = ((oid: number, format?: "text" | "binary") =>
	oid === pg.types.builtins.INT8 && format !== "binary"
		? BigInt
		: pg.types.getTypeParser(oid, format as "text")) as pg.CustomTypesConfig["getTypeParser"];

function codeOf(cause: unknown): string {
	return String((cause as { code?: unknown } | undefined)?.code ?? "");
}

function messageOf(cause: unknown): string {
	return cause instanceof Error ? cause.message : String(cause);
}

function isAway(cause: unknown): boolean {
	const code = codeOf(cause);
	return (
		awayCodes.has(code) ||
		code.startsWith("08") ||
		/Connection terminated|Client has encountered a connection error|timeout exceeded when trying to connect/.test(
			messageOf(cause),
		)
	);
}
