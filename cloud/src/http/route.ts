/** What a route is: one row of the table that Express, the OpenAPI document and the tests are made from. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { FaultCode } from "@errand/proto";
import type * as z from "zod";
import type { Caller } from "../policy/caller.ts";
import type { BodyLimit } from "./body.ts";

type Output<Schema> = Schema extends z.ZodType ? z.output<Schema> : undefined;

/** What a handler gets: everything parsed. */
interface RouteInput<Params, Query, Body> {
	readonly params: Params;
	readonly query: Query;
	readonly body: Body;
	/** From the `Idempotency-Key` header of routes that take one. */
	readonly idempotencyKey: string | undefined;
}

interface RouteFacts {
	/** Whose token it takes; that of computing unless said otherwise. */
	readonly access?: "compute" | "projects";
	readonly method: "GET" | "HEAD" | "POST" | "PUT" | "DELETE";
	/** As OpenAPI writes it: `/v2/tasks/{task_id}`. */
	readonly path: string;
	/** One line of the document. */
	readonly summary: string;
	/** Faults that the operation itself may answer with, besides those of every route. */
	readonly faults?: readonly FaultCode[];
	/** Answered before Express, which costs more than everything else in a small request. */
	readonly hot?: boolean;
	readonly bodyLimit?: BodyLimit;
	/** The key of the body under which payloads are: text that is stored as bytes. */
	readonly opaque?: string;
	/** Takes the header `Idempotency-Key`. */
	readonly idempotent?: boolean;
}

interface RouteSchemas<P, Q, B, R> {
	readonly params?: P;
	readonly query?: Q;
	readonly body?: B;
	readonly reply: R;
}

type Shape = z.ZodObject | undefined;
type AnyBody = z.ZodType | undefined;

/** A route that needs a token with the compute scope, and answers with JSON. */
export interface CallerRoute<P extends Shape, Q extends Shape, B extends AnyBody, R extends z.ZodType>
	extends RouteFacts,
		RouteSchemas<P, Q, B, R> {
	handle(caller: Caller, input: RouteInput<Output<P>, Output<Q>, Output<B>>): Promise<z.input<R>>;
}

/** A route that anybody may use. */
export interface OpenRoute<Q extends Shape, R extends z.ZodType>
	extends RouteFacts,
		Pick<RouteSchemas<undefined, Q, undefined, R>, "query" | "reply"> {
	handle(input: RouteInput<undefined, Output<Q>, undefined>): Promise<z.input<R>>;
}

/** A route whose body or reply is bytes; it reads the request and writes the reply itself. */
export interface BytesRoute<P extends Shape> extends RouteFacts {
	readonly params?: P;
	/** The content type of the bytes that it takes, or gives. */
	readonly takes?: string;
	readonly gives?: string;
	readonly reply?: z.ZodType;
	serve(
		caller: Caller,
		input: RouteInput<Output<P>, undefined, undefined>,
		request: IncomingMessage,
		response: ServerResponse,
	): Promise<void>;
}

/** A row of the table; the schemas and the handler fit each other because a builder below made it. */
export interface Route extends Omit<RouteFacts, "access"> {
	/** `projects`: a token of the identity service, with the scope to manage projects. */
	readonly access: "compute" | "projects" | "open";
	readonly params: Shape;
	readonly query: Shape;
	readonly body: AnyBody;
	readonly reply: z.ZodType | undefined;
	readonly takes: string | undefined;
	readonly gives: string | undefined;
	readonly answer:
		| { readonly kind: "json"; readonly call: (caller: Caller | undefined, input: unknown) => Promise<unknown> }
		| { readonly kind: "bytes"; readonly serve: BytesRoute<undefined>["serve"] };
}

const blank = {
	params: undefined,
	query: undefined,
	body: undefined,
	reply: undefined,
	takes: undefined,
	gives: undefined,
};

/** A row whose caller is known. */
export function route<
	P extends Shape = undefined,
	Q extends Shape = undefined,
	B extends AnyBody = undefined,
	R extends z.ZodType = z.ZodType,
>(spec: CallerRoute<P, Q, B, R>): Route {
	const { handle, ...facts } = spec;
	const call = handle as unknown as (caller: Caller | undefined, input: unknown) => Promise<unknown>;
	return { ...blank, access: "compute", ...facts, answer: { kind: "json", call } };
}

/** A row that needs no token. */
export function openRoute<Q extends Shape = undefined, R extends z.ZodType = z.ZodType>(spec: OpenRoute<Q, R>): Route {
	const { handle, ...facts } = spec;
	const call = handle as unknown as (input: unknown) => Promise<unknown>;
	return { ...blank, ...facts, access: "open", answer: { kind: "json", call: (_caller, input) => call(input) } };
}

/** A row that moves bytes. */
export function bytesRoute<P extends Shape = undefined>(spec: BytesRoute<P>): Route {
	const { serve, ...facts } = spec;
	return {
		...blank,
		...facts,
		access: "compute",
		answer: { kind: "bytes", serve: serve as unknown as BytesRoute<undefined>["serve"] },
	};
}
