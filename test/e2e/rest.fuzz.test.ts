/** Every route with values made from its own schema, and with rubbish in their places: a fault of the caller's, never of ours. */
import { joinBuffer, pack, serializations } from "@errand/proto";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TestCloud } from "../harness/cloud.ts";
import { type Schema, SchemaValues } from "../harness/from-schema.ts";
import { fuzzing, fuzzTimeoutMs } from "../harness/fuzz.ts";

interface Parameter {
	readonly name: string;
	readonly in: "path" | "query" | "header";
	readonly schema: Schema;
}
interface Operation {
	readonly parameters?: readonly Parameter[];
	readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
}
interface Request {
	readonly method: string;
	readonly path: string;
	readonly headers: Readonly<Record<string, string>>;
	readonly body: string | undefined;
}

let cloud: TestCloud;
let token: string;
let request: fc.Arbitrary<Request>;

beforeAll(async () => {
	cloud = await TestCloud.start({
		ERRAND_CLOUD_RATE_LIMIT_PER_S: "1000000",
		ERRAND_CLOUD_RATE_LIMIT_BURST: "1000000",
	});
	const ada = await cloud.login("ada", { admin: true });
	token = ada.token;
	// Several, for some of the requests delete what they name.
	const endpoints = await Promise.all(
		Array.from({ length: 10 }, (_, n) =>
			ada.client.registerEndpoint({
				endpoint_name: n === 0 ? "local" : `local-${n}`,
				metadata: { errand_protocol: 1 },
			}),
		),
	);
	const fn = await ada.client.ensureFunction({
		function_name: "f",
		function_code: pack([joinBuffer(serializations.javascriptSource, "f:export const f = () => 1;")]),
	});
	const [first] = endpoints as [(typeof endpoints)[number]];
	const submitted = await ada.client.submit(first.endpoint_id, { tasks: { [fn]: ["5\n11\n[]5\n11\n{}"] } });
	const account = (await ada.client.whoami()).id;
	const ids = [
		...endpoints.map((one) => one.endpoint_id),
		fn,
		submitted.task_group_id,
		...(submitted.tasks[fn] as string[]),
		account,
	];
	const document = (await (await fetch(`${cloud.url}/v1/openapi.json`)).json()) as {
		paths: Record<string, Record<string, Operation>>;
		components: { schemas: Record<string, Schema> };
	};
	const values = new SchemaValues(document.components.schemas, ids);
	const requests = Object.entries(document.paths).flatMap(([path, methods]) =>
		Object.entries(methods)
			// It is no route of requests and answers.
			.filter(() => path !== "/v1/stream")
			.map(([method, operation]) => requestOf(values, method.toUpperCase(), path, operation)),
	);
	expect(requests.length).toBeGreaterThan(50);
	request = fc.oneof(...requests);
});
afterAll(() => cloud?.stop());

const asText = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value)).toWellFormed();

function requestOf(values: SchemaValues, method: string, path: string, operation: Operation): fc.Arbitrary<Request> {
	const { parameters = [], requestBody } = operation;
	const given = fc.record(Object.fromEntries(parameters.map(({ name, schema }) => [name, values.of(schema)])), {
		requiredKeys: parameters.filter((one) => one.in === "path").map(({ name }) => name),
	}) as fc.Arbitrary<Record<string, unknown>>;
	const [type, content] = Object.entries(requestBody?.content ?? {})[0] ?? [];
	const body: fc.Arbitrary<string | undefined> =
		content === undefined
			? fc.constant(undefined)
			: fc.tuple(values.of(content.schema), fc.integer({ min: 0, max: 12 })).map(([value, cut]) => {
					const text = JSON.stringify(value);
					return cut === 0 ? text.slice(0, Math.floor(text.length / 2)) : text;
				});
	return fc.tuple(given, body).map(([all, text]) => {
		const query = new URLSearchParams();
		const headers: Record<string, string> = {};
		let at = path;
		for (const { name, in: where } of parameters) {
			const value = all[name];
			if (value === undefined) continue;
			if (where === "path") at = at.replace(`{${name}}`, encodeURIComponent(asText(value).slice(0, 2_000)));
			else if (where === "query") for (const one of [value].flat()) query.append(name, asText(one).slice(0, 2_000));
			else
				headers[name] = asText(value)
					.replace(/[^\x20-\x7e]/g, "?")
					.slice(0, 200);
		}
		if (type !== undefined) headers["content-type"] = type;
		const asked = query.toString();
		return { method, path: asked === "" ? at : `${at}?${asked}`, headers, body: text };
	});
}

test("HQ-6: no request makes the cloud fail or tell of its inside", { timeout: fuzzTimeoutMs(60_000) }, async () => {
	await fc.assert(
		fc.asyncProperty(request, async ({ method, path, headers, body }) => {
			const reply = await fetch(cloud.url + path, {
				method,
				headers: { ...headers, authorization: `Bearer ${token}` },
				redirect: "manual",
				...(body !== undefined && { body }),
			});
			const text = await reply.text();
			expect([reply.status, text]).toSatisfy(([status]) => status < 500);
			expect(text).not.toMatch(/\n\s+at |node_modules|node:internal|\.ts:\d+/);
			if (reply.status >= 400 && method !== "HEAD")
				expect(JSON.parse(text)).toMatchObject({
					status: "Failed",
					code: expect.any(String),
					detail: expect.any(String),
				});
		}),
		fuzzing(1_000),
	);
	expect(cloud.process.ended).toBe(false);
	expect(cloud.process.output.split("\n").filter((line) => line.includes('"request failed"'))).toEqual([]);
	expect((await fetch(`${cloud.url}/readyz`)).status).toBe(200);
});

test("a body with more wrong values than there is memory for faults is refused at once", async () => {
	const tasks = `{"tasks":{"11111111-2222-4333-8444-555555555555":[${"0,".repeat(4_900_000)}0]}}`;
	const reply = await fetch(`${cloud.url}/v3/endpoints/11111111-2222-4333-8444-555555555555/submit`, {
		method: "POST",
		headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
		body: tasks,
	});
	expect(reply.status).toBe(422);
	expect(((await reply.json()) as { detail: string }).detail).toContain("more than 100000 values");
});
