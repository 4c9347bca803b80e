import { HttpResponse, http } from "msw";
import { setupServer } from "msw/node";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { Client, CloudError } from "./index.ts";

const base = "http://cloud.test";
const server = setupServer();
beforeAll(() => server.listen({ onUnhandledFrame: "error" }));
afterEach(() => server.resetHandlers());
afterAll(() => server.close());

const backOff = { firstMs: 1, limitMs: 2 };
const client = (options: object = {}): Client => new Client({ cloudUrl: base, token: "good", backOff, ...options });
const functionId = "0b5b4c2e-7a53-4d0e-9e6b-0d3c5f1d2a11";
const group = "6f0c6b1a-3f0e-4d4c-8d8c-4f2f6a1b2c3d";
const endpoint = "4b116d3c-1703-4f8f-9f6f-39921e5864df";
const problem = (status: number, code: string, headers: Record<string, string> = {}): Response =>
	HttpResponse.json(
		{ status: "Failed", code, http_status_code: status, error_args: [], detail: `${code}.`, reason: "" },
		{ status, headers },
	);

describe("a request to the cloud", () => {
	test("GC-3: a 429 is repeated after Retry-After, not before", async () => {
		vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
		try {
			const at: number[] = [];
			server.use(
				http.post(`${base}/v1/task-groups`, () => {
					at.push(Date.now());
					return at.length === 1
						? problem(429, "TOO_MANY_REQUESTS", { "retry-after": "7" })
						: HttpResponse.json({ task_group_id: group });
				}),
			);
			const asked = client().createTaskGroup();
			await vi.waitUntil(() => vi.getTimerCount() > 0 && at.length === 1);
			await vi.advanceTimersByTimeAsync(6_900);
			expect(at).toHaveLength(1);
			await vi.advanceTimersByTimeAsync(400);
			expect(await asked).toBe(group);
			expect((at[1] ?? 0) - (at[0] ?? 0)).toBeGreaterThanOrEqual(7_000);
		} finally {
			vi.useRealTimers();
		}
	});

	test("a Retry-After beyond what is waited for is the caller's error", async () => {
		server.use(http.get(`${base}/v1/whoami`, () => problem(429, "TOO_MANY_REQUESTS", { "retry-after": "4000" })));
		await expect(client().whoami()).rejects.toMatchObject({
			code: "TOO_MANY_REQUESTS",
			httpStatus: 429,
			retryAfterS: 4000,
		});
	});

	test("a submit whose reply was lost is repeated with the same idempotency key and body", async () => {
		const seen: { key: string | null; body: unknown }[] = [];
		server.use(
			http.post(`${base}/v3/endpoints/:id/submit`, async ({ request }) => {
				seen.push({ key: request.headers.get("idempotency-key"), body: await request.json() });
				if (seen.length === 1) return HttpResponse.error();
				if (seen.length === 2) return problem(503, "NOT_READY");
				return HttpResponse.json({
					request_id: group,
					task_group_id: group,
					endpoint_id: endpoint,
					tasks: { [functionId]: [group] },
				});
			}),
		);
		const submitted = await client().submit(endpoint, { tasks: { [functionId]: ["x"] } });
		expect(submitted.tasks).toEqual({ [functionId]: [group] });
		expect(seen[0]?.key).toMatch(/^[0-9a-f-]{36}$/);
		expect(seen).toEqual([seen[0], seen[0], seen[0]]);
	});

	test("a 401 brings one fresh token and one repetition", async () => {
		const asked: unknown[] = [];
		const token = {
			cloudUrl: base,
			accessToken: async (options?: { forceRefresh?: boolean }) => {
				asked.push(options?.forceRefresh ?? false);
				return options?.forceRefresh ? "fresh" : "stale";
			},
		};
		const seen: (string | null)[] = [];
		server.use(
			http.delete(`${base}/v2/endpoints/:id`, ({ request }) => {
				seen.push(request.headers.get("authorization"));
				return request.headers.get("authorization") === "Bearer fresh"
					? HttpResponse.json({ result: 302 })
					: problem(401, "INVALID_AUTH_TOKEN");
			}),
		);
		await client({ cloudUrl: undefined, token }).deleteEndpoint(endpoint);
		expect(seen).toEqual(["Bearer stale", "Bearer fresh"]);
		expect(asked).toEqual([false, true]);
		seen.length = 0;
		await expect(
			client({ token: { ...token, accessToken: async () => "bad" } }).deleteEndpoint(endpoint),
		).rejects.toMatchObject({
			code: "INVALID_AUTH_TOKEN",
		});
		expect(seen).toHaveLength(2);
	});

	test("a refusal is an error with the cloud's code and sentence, and is not repeated", async () => {
		let times = 0;
		server.use(
			http.get(`${base}/v1/endpoints/:name`, () => {
				times++;
				return problem(404, "ENDPOINT_NOT_FOUND");
			}),
		);
		const error = await client()
			.getEndpoint("nowhere")
			.catch((reason: unknown) => reason);
		expect(error).toBeInstanceOf(CloudError);
		expect(error).toMatchObject({ code: "ENDPOINT_NOT_FOUND", httpStatus: 404, detail: "ENDPOINT_NOT_FOUND." });
		expect(times).toBe(1);
	});

	test("a proxy's page instead of our error body still has a code", async () => {
		server.use(http.get(`${base}/v1/whoami`, () => new HttpResponse("<html>Bad gateway</html>", { status: 502 })));
		await expect(client({ retries: 1 }).whoami()).rejects.toMatchObject({ code: "NOT_READY", httpStatus: 502 });
	});

	test("a cloud that is not there is named, after the repetitions", async () => {
		let times = 0;
		server.use(
			http.get(`${base}/v1/whoami`, () => {
				times++;
				return HttpResponse.error();
			}),
		);
		await expect(client({ retries: 3 }).whoami()).rejects.toMatchObject({
			code: "CLOUD_UNREACHABLE",
			httpStatus: 0,
			message: expect.stringContaining(`${base} cannot be reached`),
		});
		expect(times).toBe(4);
	});

	test("a submit outlasts an outage that a first contact does not", async () => {
		let times = 0;
		server.use(
			http.post(`${base}/v3/endpoints/:id/submit`, () => {
				times++;
				if (times <= 12) return HttpResponse.error();
				return HttpResponse.json({ request_id: group, task_group_id: group, endpoint_id: endpoint, tasks: {} });
			}),
		);
		expect(await client({ retries: 2 }).submit(endpoint, { tasks: {} })).toMatchObject({ tasks: {} });
		expect(times).toBe(13);
	});

	test("what may not be repeated is not, when its reply was lost", async () => {
		let times = 0;
		server.use(
			http.post(`${base}/v1/endpoints/:id/key`, () => {
				times++;
				return HttpResponse.error();
			}),
		);
		await expect(client().makeEndpointKey(endpoint)).rejects.toMatchObject({ code: "CLOUD_UNREACHABLE" });
		expect(times).toBe(1);
	});

	test("a reply of another version is said to be one", async () => {
		server.use(http.get(`${base}/v1/whoami`, () => HttpResponse.json({ surprise: true })));
		await expect(client().whoami()).rejects.toMatchObject({ code: "CLOUD_UNINTELLIGIBLE" });
	});

	test("pages follow their cursors, with the filter in the query", async () => {
		const seen: string[] = [];
		server.use(
			http.get(`${base}/v1/tasks`, ({ request }) => {
				const url = new URL(request.url);
				seen.push(url.search);
				const next = url.searchParams.get("cursor") === null ? "2" : null;
				return HttpResponse.json({ items: [], next_cursor: next });
			}),
		);
		const since = new Date(0);
		for await (const _ of client().eachTask({ states: ["failed", "running"], since, idPrefix: "abcd" }))
			throw new Error("none");
		expect(seen[0]).toBe("?state=failed&state=running&since=1970-01-01T00%3A00%3A00.000Z&id_prefix=abcd");
		expect(seen[1]).toContain("cursor=2");
	});

	test("an endpoint's name is asked for once, unless that failed", async () => {
		let times = 0;
		server.use(
			http.get(`${base}/v1/endpoints/:name`, () => {
				times++;
				return problem(404, "ENDPOINT_NOT_FOUND");
			}),
		);
		const one = client();
		await Promise.allSettled([one.resolveEndpoint("x"), one.resolveEndpoint("x")]);
		expect(times).toBe(1);
		await one.resolveEndpoint("x").catch(() => {});
		expect(times).toBe(2);
		expect(await one.resolveEndpoint(endpoint.toUpperCase())).toBe(endpoint);
	});
});
