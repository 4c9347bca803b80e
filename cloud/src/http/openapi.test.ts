import { afterAll, beforeAll, expect, test } from "vitest";
import { type CloudUnderTest, openCloudUnderTest } from "./cloud-under-test.ts";

type Json = { [key: string]: unknown };
type Operation = {
	operationId: string;
	parameters: { name: string; in: string; schema: Json }[];
	responses: Record<string, { content?: Record<string, { schema: Json }> }>;
	requestBody?: { content: Record<string, { schema: Json }> };
	security: Json[];
};
type Document = { openapi: string; paths: Record<string, Record<string, Operation>>; components: { schemas: Json } };

let cloud: CloudUnderTest;
let document: Document;
beforeAll(async () => {
	cloud = await openCloudUnderTest();
	document = (await cloud.call("GET", "/v1/openapi.json", { token: "" })).json;
});
afterAll(() => cloud[Symbol.asyncDispose]());

const operations = (): [string, Operation][] =>
	Object.entries(document.paths).flatMap(([path, methods]) =>
		Object.entries(methods).map(([method, operation]): [string, Operation] => [
			`${method.toUpperCase()} ${path}`,
			operation,
		]),
	);

test("every route of the table is in the document, and each operation has an id of its own", () => {
	const documented = new Set(operations().map(([name]) => name));
	for (const row of cloud.app.routes) expect(documented).toContain(`${row.method} ${row.path}`);
	const ids = operations().map(([, operation]) => operation.operationId);
	expect(new Set(ids).size).toBe(ids.length);
	expect(document.openapi).toBe("3.1.0");
});

test("the parameters of each path are those of its operations", () => {
	for (const [name, operation] of operations()) {
		const inPath = [...name.matchAll(/\{(\w+)\}/g)].map((found) => found[1]);
		const described = operation.parameters.filter((parameter) => parameter.in === "path").map(({ name }) => name);
		expect(described, name).toEqual(inPath);
	}
});

test("every reference leads to a schema, every named schema is used or part of the stream, and none is left open by accident", () => {
	const referred = new Set<string>();
	const walk = (value: unknown, at: string): void => {
		if (Array.isArray(value)) for (const item of value) walk(item, at);
		if (typeof value !== "object" || value === null) return;
		for (const [key, inner] of Object.entries(value)) {
			if (key === "$defs" || key === "$schema") throw new Error(`${at} has ${key}`);
			if (key !== "$ref" || typeof inner !== "string") walk(inner, `${at}/${key}`);
			else referred.add(inner);
		}
	};
	walk(document, "");
	const named = Object.keys(document.components.schemas).map((name) => `#/components/schemas/${name}`);
	for (const reference of referred) expect(named).toContain(reference);
	const ofStream = ["StreamRequest", "StreamFrame"].map((name) => `#/components/schemas/${name}`);
	for (const name of named) expect([...referred, ...ofStream]).toContain(name);
});

test("each schema is one that a validator can read: known types, required keys that exist", () => {
	const types = new Set(["string", "number", "integer", "boolean", "object", "array", "null"]);
	const check = (schema: unknown, at: string): void => {
		if (typeof schema === "boolean") return;
		expect(typeof schema, at).toBe("object");
		const { type, required, properties, items, anyOf, oneOf, additionalProperties } = schema as {
			type?: string | string[];
			required?: string[];
			properties?: Json;
			items?: unknown;
			anyOf?: unknown[];
			oneOf?: unknown[];
			additionalProperties?: unknown;
		};
		for (const one of [type ?? []].flat()) expect(types, at).toContain(one);
		for (const key of required ?? []) if (properties) expect(Object.keys(properties), at).toContain(key);
		for (const [key, inner] of Object.entries(properties ?? {})) check(inner, `${at}.${key}`);
		for (const [i, inner] of [...(anyOf ?? []), ...(oneOf ?? [])].entries()) check(inner, `${at}|${i}`);
		for (const inner of [items, additionalProperties]) if (inner !== undefined) check(inner, `${at}[]`);
	};
	for (const [name, schema] of Object.entries(document.components.schemas)) check(schema, name);
	for (const [name, operation] of operations()) {
		for (const parameter of operation.parameters) check(parameter.schema, `${name} ${parameter.name}`);
		const contents = [operation.requestBody, ...Object.values(operation.responses)].map((part) => part?.content ?? {});
		for (const content of contents) for (const { schema } of Object.values(content)) check(schema, name);
	}
});

test("routes that need a token say which, and every fault is the one error body", () => {
	for (const [name, operation] of operations()) {
		expect(operation.security.length === 0, name).toBe("401" in operation.responses === false);
		for (const [status, response] of Object.entries(operation.responses)) {
			if (Number(status) < 400) continue;
			expect(response.content?.["application/json"]?.schema, name).toEqual({ $ref: "#/components/schemas/Problem" });
		}
	}
});
