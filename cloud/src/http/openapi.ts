/** The OpenAPI 3.1 document, made from the table of routes. */
import { type FaultCode, faults } from "@errand/proto";
import {
	accountCreation,
	accountGroupCreation,
	accountGroupDocument,
	accountGroupSummary,
	accountSummary,
	administration,
	auditEntry,
	authPolicy,
	authPolicyChange,
	authPolicyCreation,
	authProject,
	clientCreated,
	cloudDocument,
	computeScope,
	deviceApproval,
	endpointRegistered,
	endpointRegistration,
	endpointShare,
	endpointSharing,
	endpointSummary,
	explanation,
	functionDocument,
	functionRegistration,
	functionSummary,
	lease,
	leaseRequest,
	membershipChange,
	page,
	publicPolicy,
	streamFrame,
	streamRequest,
	streamResult,
	submission,
	submitted,
	taskDocument,
	taskOutput,
	taskSummary,
	whoami,
} from "@errand/proto/rest";
import * as z from "zod";
import { manageProjectsScope } from "../identity/scopes.ts";
import type { Route } from "./route.ts";

type Json = { [key: string]: unknown };

/** Schemas that have a name in the document. */
const names = z.registry<{ id: string }>();
const named: { readonly [name: string]: z.ZodType } = {
	FunctionRegistration: functionRegistration,
	FunctionDocument: functionDocument,
	FunctionSummary: functionSummary,
	EndpointRegistration: endpointRegistration,
	EndpointRegistered: endpointRegistered,
	EndpointSummary: endpointSummary,
	LeaseRequest: leaseRequest,
	Lease: lease,
	Submission: submission,
	Submitted: submitted,
	TaskSummary: taskSummary,
	TaskDocument: taskDocument,
	TaskOutput: taskOutput,
	Explanation: explanation,
	StreamResult: streamResult,
	StreamRequest: streamRequest,
	StreamFrame: streamFrame,
	Whoami: whoami,
	AccountCreation: accountCreation,
	AccountSummary: accountSummary,
	AccountGroupCreation: accountGroupCreation,
	AccountGroupSummary: accountGroupSummary,
	AccountGroupDocument: accountGroupDocument,
	MembershipChange: membershipChange,
	AuthPolicy: authPolicy,
	AuthPolicyCreation: authPolicyCreation,
	AuthPolicyChange: authPolicyChange,
	AuthProject: authProject,
	PublicPolicy: publicPolicy,
	EndpointSharing: endpointSharing,
	EndpointShare: endpointShare,
	Administration: administration,
	AuditEntry: auditEntry,
	ClientCreated: clientCreated,
	DeviceApproval: deviceApproval,
	CloudDocument: cloudDocument,
};
for (const [id, schema] of Object.entries(named)) names.add(schema, { id });

const problem = z.object({
	status: z.literal("Failed"),
	code: z.enum(Object.keys(faults) as [FaultCode, ...FaultCode[]]),
	http_status_code: z.int(),
	error_args: z.array(z.string()),
	detail: z.string(),
	reason: z.string(),
	authorization_parameters: z
		.object({
			session_message: z.string(),
			session_required_policies: z.array(z.uuid()),
			session_required_single_domain: z.array(z.string()).optional(),
			prompt: z.literal("login"),
		})
		.optional(),
});
names.add(problem, { id: "Problem" });

/** A route that the identity provider answers, so that the document tells of it. */
interface Described {
	readonly method: "GET" | "POST";
	readonly path: string;
	readonly summary: string;
	readonly access: "compute" | "open";
	readonly body?: z.ZodType;
	readonly reply: z.ZodType;
	readonly status?: "201" | "204";
}

export const identityRoutes: readonly Described[] = [
	{ method: "GET", path: "/v1/cloud", summary: "How a client finds its way", access: "open", reply: cloudDocument },
	{ method: "GET", path: "/v1/whoami", summary: "Who the token stands for", access: "compute", reply: whoami },
	{
		method: "GET",
		path: "/v1/accounts",
		summary: "All accounts; for administrators",
		access: "compute",
		reply: page(accountSummary),
	},
	{
		method: "POST",
		path: "/v1/accounts",
		summary: "A new account; for administrators",
		access: "compute",
		body: accountCreation,
		reply: accountSummary,
		status: "201",
	},
	{
		method: "POST",
		path: "/v1/clients",
		summary: "A new service client of the caller",
		access: "compute",
		body: z.object({ name: z.string() }),
		reply: clientCreated,
		status: "201",
	},
	{
		method: "POST",
		path: "/v1/device-approvals",
		summary: "Approves a device code; for the operator",
		access: "compute",
		body: deviceApproval,
		reply: z.undefined(),
		status: "204",
	},
];

/** Collects the named schemas that the converted ones refer to. */
class Components {
	readonly schemas: Json = {};

	/** `io`: as it is sent (`input`), or as it comes back. */
	convert(schema: z.ZodType, io: "input" | "output"): Json {
		const converted = z.toJSONSchema(schema, { io, metadata: names, unrepresentable: "any" }) as Json;
		const { $schema: _dialect, $defs: defs, ...body } = converted;
		const rename = (name: string): string =>
			io === "input" && name in named && !inputs.has(name) ? `${name}Input` : name;
		for (const [name, definition] of Object.entries((defs as Json | undefined) ?? {})) {
			this.schemas[rename(name)] ??= withRefs(definition, rename);
		}
		const id = names.get(schema)?.id;
		if (id === undefined) return withRefs(body, rename) as Json;
		this.schemas[rename(id)] ??= withRefs(body, rename);
		return { $ref: `#/components/schemas/${rename(id)}` };
	}
}

/** Named schemas that are only ever sent keep their plain name. */
const inputs = new Set([
	"FunctionRegistration",
	"EndpointRegistration",
	"LeaseRequest",
	"Submission",
	"StreamRequest",
	"AccountCreation",
	"AccountGroupCreation",
	"MembershipChange",
	"EndpointSharing",
	"Administration",
	"DeviceApproval",
]);

function withRefs(value: unknown, rename: (name: string) => string): unknown {
	if (Array.isArray(value)) return value.map((item) => withRefs(item, rename));
	if (typeof value !== "object" || value === null) return value;
	return Object.fromEntries(
		Object.entries(value)
			.filter(([key]) => key !== "id" || typeof (value as Json).id !== "string")
			.map(([key, inner]) =>
				key === "$ref" && typeof inner === "string"
					? [key, inner.replace(/^#\/\$defs\/(.*)$/, (_all, name: string) => `#/components/schemas/${rename(name)}`)]
					: [key, withRefs(inner, rename)],
			),
	);
}

const problemContent = { "application/json": { schema: { $ref: "#/components/schemas/Problem" } } };
const everyRoute: readonly FaultCode[] = ["REQUEST_MALFORMED", "TOO_MANY_REQUESTS", "INTERNAL_ERROR"];
const withToken: readonly FaultCode[] = ["USER_UNAUTHENTICATED", "INVALID_AUTH_TOKEN", "INSUFFICIENT_AUTH_SCOPE"];

function responses(codes: Iterable<FaultCode>, success: Json): Json {
	const byStatus = new Map<string, FaultCode[]>();
	for (const code of new Set(codes)) {
		const status = String(faults[code].httpStatus);
		byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
	}
	const failed = [...byStatus].map(([status, list]) => [
		status,
		{ description: list.join(", "), content: problemContent },
	]);
	return { "200": success, ...Object.fromEntries(failed.sort()) };
}

function parametersOf(where: "path" | "query", schema: z.ZodType | undefined, components: Components): Json[] {
	if (schema === undefined) return [];
	const converted = components.convert(schema, "input") as { properties?: Record<string, Json>; required?: string[] };
	return Object.entries(converted.properties ?? {}).map(([name, property]) => ({
		name,
		in: where,
		required: where === "path" || (converted.required ?? []).includes(name),
		schema: property,
	}));
}

const idempotencyKey = {
	name: "Idempotency-Key",
	in: "header",
	required: false,
	description: "A repeat with the same key and body returns the same task ids and runs nothing twice.",
	schema: { type: "string", format: "uuid" },
};

const security: { readonly [A in Route["access"]]: readonly Json[] } = {
	open: [],
	compute: [{ bearer: [] }, { oauth: [computeScope] }],
	projects: [{ bearer: [] }, { oauth: [manageProjectsScope] }],
};

function operationOf(row: Route, components: Components): Json {
	const codes: FaultCode[] = [...everyRoute, ...(row.access === "open" ? [] : withToken), ...(row.faults ?? [])];
	if (row.params !== undefined) codes.push("INVALID_UUID");
	if (row.query !== undefined || row.body !== undefined) codes.push("SEMANTICALLY_INVALID");
	if (row.body !== undefined) codes.push(row.bodyLimit?.code ?? "TASK_PAYLOAD_TOO_LARGE");
	const binary = { schema: { type: "string", format: "binary" } };
	const success: Json = { description: "Done" };
	if (row.gives !== undefined) success.content = { [row.gives]: binary };
	else if (row.reply !== undefined && row.method !== "HEAD") {
		success.content = { "application/json": { schema: components.convert(row.reply, "output") } };
	}
	const operation: Json = {
		operationId: operationId(row),
		summary: row.summary,
		tags: [row.path.split("/")[1]],
		security: security[row.access],
		parameters: [
			...parametersOf("path", row.params, components),
			...parametersOf("query", row.query, components),
			...(row.idempotent === true ? [idempotencyKey] : []),
		],
		responses: responses(codes, success),
	};
	if (row.takes !== undefined) operation.requestBody = { required: true, content: { [row.takes]: binary } };
	if (row.body !== undefined) {
		operation.requestBody = {
			required: true,
			content: { "application/json": { schema: components.convert(row.body, "input") } },
		};
	}
	return operation;
}

/** `POST /v1/tasks/{task_id}/cancel` → `post_v1_tasks_by_task_id_cancel` */
function operationId(row: Pick<Route, "method" | "path">): string {
	const path = row.path.slice(1).replace(/\{(\w+)\}/g, "by_$1");
	return `${row.method.toLowerCase()}_${path.replace(/[^\w]+/g, "_")}`;
}

/** The document for a cloud at `publicUrl`. */
export function openApiDocument(routes: readonly Route[], version: string, publicUrl: string): Json {
	const components = new Components();
	components.convert(problem, "output");
	components.convert(streamRequest, "input");
	components.convert(streamFrame, "output");
	const paths: Record<string, Json> = {};
	const add = (method: string, path: string, operation: Json): void => {
		paths[path] ??= {};
		(paths[path] as Json)[method.toLowerCase()] = operation;
	};
	for (const row of routes) add(row.method, row.path, operationOf(row, components));
	for (const row of identityRoutes) {
		const blank = { params: undefined, query: undefined, body: undefined, takes: undefined, gives: undefined };
		const operation = operationOf({ ...blank, ...row } as unknown as Route, components);
		if (row.status !== undefined) {
			const { "200": success, ...others } = operation.responses as Json;
			operation.responses = { [row.status]: row.status === "204" ? { description: "Done" } : success, ...others };
		}
		add(row.method, row.path, operation);
	}
	add("GET", "/v1/stream", {
		operationId: "get_v1_stream",
		summary: "WebSocket: results, states, output and progress of task groups; frames are StreamRequest and StreamFrame",
		tags: ["v1"],
		security: [{ bearer: [] }, { oauth: [computeScope] }],
		parameters: [],
		responses: {
			"101": { description: "The protocol changes to WebSocket" },
			...responses(withToken, { description: "Never" }),
		},
	});
	return {
		openapi: "3.1.0",
		info: {
			title: "Errand",
			version,
			description:
				"Functions as a service for supercomputers. /v2 and /v3 are the public interface that existing clients speak; /v1 is what it lacks.",
			license: { name: "Apache-2.0", identifier: "Apache-2.0" },
		},
		servers: [{ url: publicUrl }],
		tags: [{ name: "v1" }, { name: "v2" }, { name: "v3" }],
		paths,
		components: {
			schemas: components.schemas,
			securitySchemes: {
				bearer: { type: "http", scheme: "bearer" },
				oauth: {
					type: "oauth2",
					flows: {
						authorizationCode: {
							authorizationUrl: `${publicUrl}/v2/oauth2/authorize`,
							tokenUrl: `${publicUrl}/v2/oauth2/token`,
							refreshUrl: `${publicUrl}/v2/oauth2/token`,
							scopes: { [computeScope]: "Compute as you", [manageProjectsScope]: "Manage projects and their policies" },
						},
						clientCredentials: {
							tokenUrl: `${publicUrl}/v2/oauth2/token`,
							scopes: {
								[computeScope]: "Compute as this client",
								[manageProjectsScope]: "Manage projects and their policies",
							},
						},
					},
				},
			},
		},
	};
}
